package netns

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"github.com/nameplane/nameplane/test/kube"
)

// apiServer is a source that a real API server is.
type apiServer struct {
	client kubernetes.Interface
}

func newAPIServer(t testing.TB, w *world, cluster *kube.Cluster) *apiServer {
	t.Helper()
	cluster.Load(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "exam"}})
	for _, n := range w.nodes() {
		made, err := cluster.Client().CoreV1().Nodes().Create(t.Context(), n.(*corev1.Node), metav1.CreateOptions{})
		if err == nil {
			made.Status.Addresses = n.(*corev1.Node).Status.Addresses
			_, err = cluster.Client().CoreV1().Nodes().UpdateStatus(t.Context(), made, metav1.UpdateOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return &apiServer{client: cluster.Client()}
}

// put creates or replaces a service and its slices; what the service had beyond these is deleted.
func (a *apiServer) put(t testing.TB, name string, objects ...runtime.Object) {
	t.Helper()
	if err := a.replace(t.Context(), name, objects); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func (a *apiServer) replace(ctx context.Context, name string, objects []runtime.Object) error {
	services, slices := a.client.CoreV1().Services("exam"), a.client.DiscoveryV1().EndpointSlices("exam")
	old, err := slices.List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + name})
	if err != nil {
		return err
	}
	surplus := map[string]bool{}
	for _, s := range old.Items {
		surplus[s.Name] = true
	}
	for _, o := range objects {
		switch o := o.(type) {
		case *corev1.Service:
			err = a.service(ctx, o)
		case *discoveryv1.EndpointSlice:
			if _, err = slices.Update(ctx, o, metav1.UpdateOptions{}); apierrors.IsNotFound(err) {
				_, err = slices.Create(ctx, o, metav1.CreateOptions{})
			}
			delete(surplus, o.Name)
		}
		if err != nil {
			return err
		}
	}
	for slice := range surplus {
		if err := slices.Delete(ctx, slice, metav1.DeleteOptions{}); err != nil {
			return err
		}
	}
	if len(objects) > 0 {
		return nil
	}
	return services.Delete(ctx, name, metav1.DeleteOptions{})
}

func (a *apiServer) service(ctx context.Context, s *corev1.Service) error {
	services := a.client.CoreV1().Services(s.Namespace)
	made, err := services.Update(ctx, s, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		made, err = services.Create(ctx, s, metav1.CreateOptions{})
	}
	if err != nil || len(s.Status.LoadBalancer.Ingress) == 0 {
		return err
	}
	made.Status = s.Status
	_, err = services.UpdateStatus(ctx, made, metav1.UpdateOptions{})
	return err
}
