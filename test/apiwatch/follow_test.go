// Package apiwatch examines cluster/apiwatch against a real API server, which is killed, frozen, compacted and filled
// with ten thousand services.
package apiwatch

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/cluster/apiwatch"
	"github.com/nameplane/nameplane/test/kube"
	"github.com/nameplane/nameplane/test/peer"
)

// followed is a Store that follows a cluster, with what it logged.
type followed struct {
	store  *cluster.Store
	writer *cluster.Writer
	log    *logged
}

func follow(t *testing.T, origin cluster.Origin, needs cluster.Needs) *followed {
	t.Helper()
	f := &followed{log: &logged{}}
	source, err := apiwatch.Open(origin, needs, cluster.Telemetry{}, slog.New(slog.NewTextHandler(f.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	f.store, f.writer = cluster.NewStore()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- source.Run(ctx, f.writer) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", f.log)
		}
	})
	return f
}

func (f *followed) service(name string) *cluster.Service {
	key, _ := cluster.ServiceKey("default", name)
	return f.store.Service([]byte(key))
}

// logged is a log that may be read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logged) count(s string) int { return strings.Count(l.String(), s) }

func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

func newService(name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	}
}

func newSlice(service string, addresses ...string) *discoveryv1.EndpointSlice {
	port, name := int32(8080), "http"
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: service + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
	}
	for _, a := range addresses {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{a}})
	}
	return s
}

// A change is visible within 100 ms of its event. It is measured from the end of the request that makes it, and the
// median of nine counts: a machine that is busy with other tests is late now and then.
func TestChangesAreVisibleAtOnce(t *testing.T) {
	peer.E2E(t)
	t.Parallel()
	for _, tt := range []struct {
		name    string
		options kube.Options
	}{
		{name: "watch list", options: kube.Options{}},
		{name: "list and watch, as before Kubernetes 1.32", options: kube.Options{FastServiceIPs: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := kube.Start(t, tt.options)
			c.Load(t, newService("early"), newSlice("early", "10.244.0.1"))
			f := follow(t, cluster.Origin{Kubeconfig: c.RestrictedKubeconfig(t)}, cluster.Needs{Endpoints: true, Pods: true})
			eventually(t, 10*time.Second, "synced", f.store.Synced)
			if s := f.service("early"); s == nil || len(s.Endpoints.List) != 1 || len(s.ClusterIPs) != 1 {
				t.Errorf("synced without the service that was there: %+v", s)
			}
			var delays []time.Duration
			for n := range 3 {
				delays = append(delays, changeAndWait(t, c, f, fmt.Sprintf("late-%d", n))...)
			}
			slices.Sort(delays)
			t.Logf("a change is visible after %v", delays)
			if median := delays[len(delays)/2]; median > 100*time.Millisecond {
				t.Errorf("half of the changes take %s or more, want at most 100ms", median)
			}
			if f.store.Status().Failure != "" || f.log.String() != "" {
				t.Errorf("trouble %q, log %q", f.store.Status().Failure, f.log)
			}
		})
	}
}

// changeAndWait makes a service, its endpoints, and deletes the service; it returns how late each was seen.
func changeAndWait(t *testing.T, c *kube.Cluster, f *followed, name string) (delays []time.Duration) {
	t.Helper()
	see := func(what string, ok func() bool) {
		t.Helper()
		began := time.Now()
		eventually(t, 10*time.Second, what, ok)
		delays = append(delays, time.Since(began))
	}
	c.Load(t, newService(name))
	see("a new service", func() bool { return f.service(name) != nil })
	c.Load(t, newSlice(name, "10.244.0.2", "10.244.0.3"))
	see("its endpoints", func() bool { return len(f.service(name).Endpoints.List) == 2 })
	if err := c.Client().CoreV1().Services("default").Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	see("its deletion", func() bool { return f.service(name) == nil })
	return delays
}

// An API server that crashes takes nothing away, is reported once, and is followed again from where it was.
func TestAPIServerComesBack(t *testing.T) {
	peer.E2E(t)
	t.Parallel()
	c := kube.Start(t, kube.Options{})
	c.Load(t, newService("stays"))
	f := follow(t, cluster.Origin{Kubeconfig: c.Kubeconfig()}, cluster.Needs{Endpoints: true})
	eventually(t, 10*time.Second, "synced", f.store.Synced)

	c.KillAPIServer(t)
	eventually(t, 5*time.Second, "a failure in the status", func() bool { return f.store.Status().Failure != "" })
	if f.service("stays") == nil {
		t.Error("the service went with the API server")
	}
	c.StartAPIServer(t)
	c.Load(t, newService("new"))
	if err := c.Client().CoreV1().Services("default").Delete(t.Context(), "stays", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 40*time.Second, "the change that was missed", func() bool { return f.service("new") != nil && f.service("stays") == nil })
	eventually(t, 40*time.Second, "no failure", func() bool { return f.store.Status().Failure == "" })
	for _, line := range []string{"not following the cluster", "following again after"} {
		if n := f.log.count(line); n != 1 {
			t.Errorf("%q is logged %d times, want once:\n%s", line, n, f.log)
		}
	}
}
