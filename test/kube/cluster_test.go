package kube

import (
	"context"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/nameplane/nameplane/test/peer"
)

func TestObjectsOutliveTheAPIServer(t *testing.T) {
	peer.E2E(t)
	t.Parallel()
	c := Start(t, Options{})
	c.Load(t, service("web", nil))
	before := getService(t, c, "web")
	if len(before.Spec.ClusterIPs) != 2 {
		t.Fatalf("ClusterIPs %q, want one of each family", before.Spec.ClusterIPs)
	}

	c.KillAPIServer(t)
	if _, err := c.Client().CoreV1().Services("default").Get(t.Context(), "web", metav1.GetOptions{}); err == nil {
		t.Fatal("a killed API server answered")
	}
	c.StartAPIServer(t)
	if after := getService(t, c, "web"); !slices.Equal(after.Spec.ClusterIPs, before.Spec.ClusterIPs) {
		t.Errorf("ClusterIPs %q after the restart, want %q", after.Spec.ClusterIPs, before.Spec.ClusterIPs)
	}

	c.FreezeAPIServer(t)
	brief, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := c.Client().CoreV1().Services("default").Get(brief, "web", metav1.GetOptions{}); brief.Err() == nil {
		t.Fatalf("a frozen API server answered, or refused: %v", err)
	}
	c.ThawAPIServer(t)
	getService(t, c, "web")
}

func TestCompactionExpiresWatches(t *testing.T) {
	peer.E2E(t)
	t.Parallel()
	c := Start(t, Options{})
	list, err := c.Client().CoreV1().Services("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.KillAPIServer(t)
	c.CompactEtcd(t)
	c.StartAPIServer(t)

	w, err := c.Client().CoreV1().Services("").Watch(t.Context(), metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err == nil {
		defer w.Stop()
		select {
		case event := <-w.ResultChan():
			if event.Type != watch.Error {
				t.Fatalf("got %s %v, want an error", event.Type, event.Object)
			}
			err = apierrors.FromObject(event.Object)
		case <-time.After(10 * time.Second):
			t.Fatal("the watch from before the compaction stays open")
		}
	}
	if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		t.Errorf("%v, want %d", err, http.StatusGone)
	}
}

func TestControllersMakeEndpointSlices(t *testing.T) {
	peer.E2E(t)
	t.Parallel()
	c := Start(t, Options{Controllers: true})
	labels := map[string]string{"app": "web"}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-a"}}
	c.Load(t, node, service("web", labels), pod("web-0", labels))
	ready := func() []string {
		slices, err := c.Client().DiscoveryV1().EndpointSlices("default").List(t.Context(),
			metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=web"})
		if err != nil {
			t.Fatal(err)
		}
		var addresses []string
		for _, s := range slices.Items {
			for _, e := range s.Endpoints {
				if *e.Conditions.Ready {
					addresses = append(addresses, e.Addresses...)
				}
			}
		}
		return addresses
	}
	if got := ready(); len(got) != 0 {
		t.Fatalf("ready %q before the pod is", got)
	}
	c.PatchPodStatus(t, "default", "web-0", Running(true, "10.244.0.7", "fd00:10:244::7"))
	eventually(t, "both addresses ready", func() bool {
		got := ready()
		return len(got) == 2 && slices.Contains(got, "10.244.0.7") && slices.Contains(got, "fd00:10:244::7")
	})
	c.PatchPodStatus(t, "default", "web-0", Running(false, "10.244.0.7", "fd00:10:244::7"))
	eventually(t, "no address ready", func() bool { return len(ready()) == 0 })
}

// The restricted account must have the rights that clusters give a DNS server and no more, or a right that the product
// asks for wrongly would go unnoticed.
func TestRestrictedAccount(t *testing.T) {
	peer.E2E(t)
	t.Parallel()
	c := Start(t, Options{})
	client, err := newClient(c.RestrictedKubeconfig(t))
	if err != nil {
		t.Fatal(err)
	}
	core := client.CoreV1()
	ctx, list := t.Context(), metav1.ListOptions{}
	for _, tc := range []struct {
		name    string
		call    func() error
		allowed bool
	}{
		{name: "list services", allowed: true, call: func() error { _, err := core.Services("").List(ctx, list); return err }},
		{name: "list pods", allowed: true, call: func() error { _, err := core.Pods("").List(ctx, list); return err }},
		{name: "list namespaces", allowed: true, call: func() error { _, err := core.Namespaces().List(ctx, list); return err }},
		{name: "list slices", allowed: true, call: func() error { _, err := client.DiscoveryV1().EndpointSlices("").List(ctx, list); return err }},
		{name: "watch services", allowed: true, call: func() error {
			w, err := core.Services("").Watch(ctx, list)
			if err == nil {
				w.Stop()
			}
			return err
		}},
		{name: "get a service", call: func() error {
			_, err := core.Services("default").Get(ctx, "kubernetes", metav1.GetOptions{})
			return err
		}},
		{name: "list nodes", call: func() error { _, err := core.Nodes().List(ctx, list); return err }},
		{name: "list secrets", call: func() error { _, err := core.Secrets("").List(ctx, list); return err }},
		{name: "create a service", call: func() error {
			_, err := core.Services("default").Create(ctx, service("mine", nil), metav1.CreateOptions{})
			return err
		}},
	} {
		err := tc.call()
		if tc.allowed && err != nil {
			t.Errorf("%s: %v, want it allowed", tc.name, err)
		}
		if !tc.allowed && !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v, want it forbidden", tc.name, err)
		}
	}
}

func TestDataFolderIsTakenUpAgain(t *testing.T) {
	peer.E2E(t)
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made", "by Start")
	var want []string
	t.Run("first", func(t *testing.T) {
		c := Start(t, Options{Dir: dir, FastServiceIPs: true})
		c.Load(t, service("web", nil))
		want = getService(t, c, "web").Spec.ClusterIPs
	})
	t.Run("second", func(t *testing.T) {
		c := Start(t, Options{Dir: dir, FastServiceIPs: true})
		if got := getService(t, c, "web").Spec.ClusterIPs; !slices.Equal(got, want) {
			t.Errorf("ClusterIPs %q, want %q", got, want)
		}
	})
}

func service(name string, selector map[string]string) *corev1.Service {
	policy := corev1.IPFamilyPolicyRequireDualStack
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.ServiceSpec{
			Selector:       selector,
			IPFamilyPolicy: &policy,
			Ports:          []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	}
}

func pod(name string, labels map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: labels},
		Spec:       corev1.PodSpec{NodeName: "node-a", Containers: []corev1.Container{{Name: "c", Image: "none.example/none"}}},
	}
}

func getService(t *testing.T, c *Cluster, name string) *corev1.Service {
	t.Helper()
	s, err := c.Client().CoreV1().Services("default").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}
