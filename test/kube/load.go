package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"golang.org/x/sync/errgroup"

	"github.com/nameplane/nameplane/test/peer"
)

// inFlight bounds the requests of one Load; more do not make two cores faster.
const inFlight = 32

// Load creates Namespaces, Nodes, Services, EndpointSlices and Pods, namespaces first and then many at a time, with the
// status that they carry; a Pod with a deletion timestamp is left terminating. Namespaces that exist are kept, anything
// else that exists is an error. What an API server of another version refuses, such as names that begin with a digit before
// 1.34, is left out there.
func (c *Cluster) Load(t testing.TB, objects ...runtime.Object) {
	t.Helper()
	var namespaces, others []runtime.Object
	for _, o := range objects {
		if _, ok := o.(*corev1.Namespace); ok {
			namespaces = append(namespaces, o)
		} else {
			others = append(others, o)
		}
	}
	for _, batch := range [][]runtime.Object{namespaces, others} {
		if err := createAll(t.Context(), c.client, batch); err != nil {
			t.Fatalf("load: %v", err)
		}
	}
}

// PatchPodStatus merges status into a Pod's, which is the kubelet's part where there is no kubelet.
func (c *Cluster) PatchPodStatus(t testing.TB, namespace, name string, status corev1.PodStatus) {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.client.CoreV1().Pods(namespace).Patch(t.Context(), name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		t.Fatalf("status of pod %s/%s: %v", namespace, name, err)
	}
}

// Running is the status of a pod that runs at the given addresses, its primary one first, and is ready or not.
func Running(ready bool, addresses ...string) corev1.PodStatus {
	condition := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse}
	if ready {
		condition.Status = corev1.ConditionTrue
	}
	status := corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{condition}}
	for i, a := range addresses {
		if i == 0 {
			status.PodIP = a
		}
		status.PodIPs = append(status.PodIPs, corev1.PodIP{IP: a})
	}
	return status
}

func createAll(ctx context.Context, client kubernetes.Interface, objects []runtime.Object) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(inFlight)
	for _, o := range objects {
		group.Go(func() error {
			err := create(ctx, client, o)
			if peer.OtherKubernetes() != "" && apierrors.IsInvalid(err) {
				return nil
			}
			return err
		})
	}
	return group.Wait()
}

func create(ctx context.Context, client kubernetes.Interface, object runtime.Object) (err error) {
	options := metav1.CreateOptions{}
	switch o := object.(type) {
	case *corev1.Namespace:
		_, err = client.CoreV1().Namespaces().Create(ctx, o, options)
		err = unlessExists(err)
	case *corev1.Node:
		_, err = client.CoreV1().Nodes().Create(ctx, o, options)
	case *corev1.Service:
		err = createService(ctx, client, o)
	case *discoveryv1.EndpointSlice:
		_, err = client.DiscoveryV1().EndpointSlices(o.Namespace).Create(ctx, o, options)
	case *corev1.Pod:
		err = createPod(ctx, client, o)
	default:
		return fmt.Errorf("%T: only namespaces, nodes, services, endpoint slices and pods can be loaded", object)
	}
	if err != nil {
		return fmt.Errorf("%T: %w", object, err)
	}
	return nil
}

func createService(ctx context.Context, client kubernetes.Interface, s *corev1.Service) error {
	services := client.CoreV1().Services(s.Namespace)
	made, err := services.Create(ctx, s, metav1.CreateOptions{})
	if err != nil || len(s.Status.LoadBalancer.Ingress) == 0 {
		return err
	}
	made.Status = s.Status
	_, err = services.UpdateStatus(ctx, made, metav1.UpdateOptions{})
	return err
}

// createPod deletes a Pod that is to be terminating with a grace period; without a kubelet it stays.
func createPod(ctx context.Context, client kubernetes.Interface, p *corev1.Pod) error {
	pods := client.CoreV1().Pods(p.Namespace)
	fresh := p.DeepCopy()
	fresh.DeletionTimestamp, fresh.DeletionGracePeriodSeconds = nil, nil
	made, err := pods.Create(ctx, fresh, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if p.Status.Phase != "" {
		made.Status = p.Status
		if _, err := pods.UpdateStatus(ctx, made, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	if p.DeletionTimestamp == nil {
		return nil
	}
	return pods.Delete(ctx, p.Name, metav1.DeleteOptions{GracePeriodSeconds: p.DeletionGracePeriodSeconds})
}
