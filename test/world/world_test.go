package world

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/nameplane/nameplane/test/kube"
	"github.com/nameplane/nameplane/test/peer"
)

func TestSameSeedSameWorld(t *testing.T) {
	t.Parallel()
	a, b := New(7), New(7)
	if diff := cmp.Diff(a.Objects(), b.Objects()); diff != "" {
		t.Errorf("objects differ between two worlds of one seed:\n%s", diff)
	}
	if diff := cmp.Diff(packed(t, a.Questions(2000)), packed(t, b.Questions(2000))); diff != "" {
		t.Errorf("questions differ between two worlds of one seed:\n%s", diff)
	}
	if cmp.Equal(a.Objects(), New(8).Objects()) {
		t.Error("seeds 7 and 8 make the same world")
	}
}

// Whatever the seed, a world has each of these: an exam that lacks one proves less than it seems to.
func TestVariety(t *testing.T) {
	t.Parallel()
	service := func(ok func(*corev1.Service) bool) func(*World) bool {
		return func(w *World) bool { return slices.ContainsFunc(w.services, ok) }
	}
	slice := func(ok func(*discoveryv1.EndpointSlice) bool) func(*World) bool {
		return func(w *World) bool { return slices.ContainsFunc(w.slices, ok) }
	}
	endpoint := func(ok func(discoveryv1.Endpoint) bool) func(*World) bool {
		return slice(func(s *discoveryv1.EndpointSlice) bool { return slices.ContainsFunc(s.Endpoints, ok) })
	}
	pod := func(ok func(*corev1.Pod) bool) func(*World) bool {
		return func(w *World) bool { return slices.ContainsFunc(w.pods, ok) }
	}
	external := func(ok func(string) bool) func(*World) bool {
		return service(func(s *corev1.Service) bool { return isAlias(s) && ok(s.Spec.ExternalName) })
	}
	is := func(b *bool, want bool) bool { return b != nil && *b == want }
	for _, tc := range []struct {
		name string
		has  func(*World) bool
	}{
		{name: "IPv6-only ClusterIP", has: service(func(s *corev1.Service) bool {
			return isClusterIP(s) && len(s.Spec.ClusterIPs) == 1 && strings.Contains(s.Spec.ClusterIP, ":")
		})},
		{name: "dual-stack ClusterIP, IPv6 first", has: service(func(s *corev1.Service) bool {
			return len(s.Spec.ClusterIPs) == 2 && strings.Contains(s.Spec.ClusterIP, ":")
		})},
		{name: "load balancer", has: service(func(s *corev1.Service) bool { return len(s.Status.LoadBalancer.Ingress) > 0 })},
		{name: "headless without ports", has: service(func(s *corev1.Service) bool { return isHeadless(s) && len(s.Spec.Ports) == 0 })},
		{name: "publishNotReadyAddresses", has: service(func(s *corev1.Service) bool { return s.Spec.PublishNotReadyAddresses })},
		{name: "SCTP port", has: service(func(s *corev1.Service) bool {
			return slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Protocol == corev1.ProtocolSCTP })
		})},
		{name: "unnamed port", has: service(func(s *corev1.Service) bool { return len(s.Spec.Ports) == 1 && s.Spec.Ports[0].Name == "" })},
		{name: "longest service name", has: service(func(s *corev1.Service) bool { return len(s.Name) == 63 })},
		{name: "external name outside", has: external(func(n string) bool { return strings.Contains(n, "example") })},
		{name: "external name that is an address", has: external(func(n string) bool { return strings.HasPrefix(n, "192.0.2.") })},
		{name: "external name inside the zone", has: external(func(n string) bool { return strings.HasSuffix(n, ".svc.cluster.local") })},
		{name: "external name with a last dot", has: external(func(n string) bool { return strings.HasSuffix(n, ".") })},
		{name: "chain of external names", has: func(w *World) bool {
			return external(func(n string) bool {
				return slices.ContainsFunc(w.services, func(s *corev1.Service) bool { return isAlias(s) && nameOf(s) == n })
			})(w)
		}},
		{name: "not ready", has: endpoint(func(e discoveryv1.Endpoint) bool { return is(e.Conditions.Ready, false) })},
		{name: "ready unknown", has: endpoint(func(e discoveryv1.Endpoint) bool { return e.Conditions.Ready == nil })},
		{name: "serving while terminating", has: endpoint(func(e discoveryv1.Endpoint) bool {
			return is(e.Conditions.Serving, true) && is(e.Conditions.Terminating, true)
		})},
		{name: "several addresses in an endpoint", has: endpoint(func(e discoveryv1.Endpoint) bool { return len(e.Addresses) > 1 })},
		{name: "FQDN slice", has: slice(func(s *discoveryv1.EndpointSlice) bool { return s.AddressType == discoveryv1.AddressTypeFQDN })},
		{name: "slice without endpoints", has: slice(func(s *discoveryv1.EndpointSlice) bool { return len(s.Endpoints) == 0 })},
		{name: "hostname of several endpoints", has: slice(func(s *discoveryv1.EndpointSlice) bool {
			seen := map[string]string{}
			return slices.ContainsFunc(s.Endpoints, func(e discoveryv1.Endpoint) bool {
				if e.Hostname == nil {
					return false
				}
				first, again := seen[*e.Hostname]
				seen[*e.Hostname] = e.Addresses[0]
				return again && first != e.Addresses[0]
			})
		})},
		{name: "address of two services", has: func(w *World) bool {
			owner := map[string]string{}
			return endpoint(func(discoveryv1.Endpoint) bool { return true })(w) && slices.ContainsFunc(w.slices, func(s *discoveryv1.EndpointSlice) bool {
				return slices.ContainsFunc(s.Endpoints, func(e discoveryv1.Endpoint) bool {
					this := s.Namespace + "/" + s.Labels[discoveryv1.LabelServiceName]
					other, seen := owner[e.Addresses[0]]
					owner[e.Addresses[0]] = this
					return seen && other != this
				})
			})
		}},
		{name: "more endpoints than a small reply holds", has: func(w *World) bool {
			count := map[string]int{}
			for _, s := range w.slices {
				count[s.Namespace+"/"+s.Labels[discoveryv1.LabelServiceName]] += len(s.Endpoints)
			}
			for _, n := range count {
				if n > 40 {
					return true
				}
			}
			return false
		}},
		{name: "dual-stack pod", has: pod(func(p *corev1.Pod) bool { return len(p.Status.PodIPs) == 2 })},
		{name: "succeeded pod", has: pod(func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodSucceeded })},
		{name: "terminating pod", has: pod(func(p *corev1.Pod) bool { return p.DeletionTimestamp != nil })},
		{name: "pod without address", has: pod(func(p *corev1.Pod) bool { return p.Status.PodIP == "" })},
		{name: "pod with dots", has: pod(func(p *corev1.Pod) bool { return strings.Contains(p.Name, ".") })},
		{name: "pod name longer than a label", has: pod(func(p *corev1.Pod) bool { return len(p.Name) > 63 })},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(20) {
				if !tc.has(New(seed)) {
					t.Errorf("world %d has none", seed)
				}
			}
		})
	}
}

func TestManifestsHoldTheObjects(t *testing.T) {
	t.Parallel()
	w, dir := New(3), t.TempDir()
	if err := w.WriteManifests(dir); err != nil {
		t.Fatal(err)
	}
	got := map[string]runtime.Object{}
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range bytes.Split(text, []byte("---\n")) {
			o := decode(t, document)
			got[key(o)] = o
		}
	}
	want := map[string]runtime.Object{}
	for _, o := range w.Objects() {
		want[key(o)] = o
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("objects written and read again (-want +got):\n%s", diff)
	}
}

// The API server is the judge of what is valid; it must neither refuse nor change what a name is made of.
func TestAPIServerTakesTheWorld(t *testing.T) {
	peer.E2E(t)
	t.Parallel()
	for _, seed := range []uint64{1, 2, 3} {
		w := New(seed)
		begin := time.Now()
		c := kube.Start(t, kube.Options{})
		started := time.Now()
		c.Load(t, w.Objects()...)
		t.Logf("world %d: %d objects loaded in %s, after a start of %s", seed, len(w.Objects()), time.Since(started), started.Sub(begin))
		all := metav1.ListOptions{}
		services, err := c.Client().CoreV1().Services("").List(t.Context(), all)
		if err != nil {
			t.Fatal(err)
		}
		slices, err := c.Client().DiscoveryV1().EndpointSlices("").List(t.Context(), all)
		if err != nil {
			t.Fatal(err)
		}
		pods, err := c.Client().CoreV1().Pods("").List(t.Context(), all)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for i := range services.Items {
			note(got, &services.Items[i])
		}
		for i := range slices.Items {
			note(got, &slices.Items[i])
		}
		for i := range pods.Items {
			note(got, &pods.Items[i])
		}
		want := map[string]string{}
		for _, o := range w.Objects() {
			note(want, o)
		}
		// These two are the API server's own.
		delete(got, "Service default/kubernetes")
		delete(got, "EndpointSlice default/kubernetes")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("world %d in the API server (-want +got):\n%s", seed, diff)
		}
	}
}

// note keeps of an object what decides about its names.
func note(notes map[string]string, object runtime.Object) {
	var b bytes.Buffer
	add := func(v any) {
		text, err := yaml.Marshal(v)
		if err != nil {
			text = []byte(err.Error())
		}
		b.Write(text)
	}
	name := object.(metav1.Object).GetNamespace() + "/" + object.(metav1.Object).GetName()
	switch o := object.(type) {
	case *corev1.Service:
		add([]any{o.Spec.ClusterIPs, o.Spec.Ports, o.Spec.ExternalName, o.Spec.Type, o.Labels})
		notes["Service "+name] = b.String()
	case *discoveryv1.EndpointSlice:
		add([]any{o.AddressType, o.Endpoints, o.Ports, o.Labels})
		notes["EndpointSlice "+name] = b.String()
	case *corev1.Pod:
		add([]any{o.Status.PodIP, o.Status.PodIPs, o.Status.Phase, o.DeletionTimestamp != nil})
		notes["Pod "+name] = b.String()
	}
}

func key(o runtime.Object) string {
	m := o.(metav1.Object)
	return o.GetObjectKind().GroupVersionKind().Kind + " " + m.GetNamespace() + "/" + m.GetName()
}

func decode(t *testing.T, document []byte) runtime.Object {
	t.Helper()
	var meta metav1.TypeMeta
	if err := yaml.Unmarshal(document, &meta); err != nil {
		t.Fatal(err)
	}
	o := map[string]runtime.Object{
		"Namespace": &corev1.Namespace{}, "Node": &corev1.Node{}, "Service": &corev1.Service{},
		"EndpointSlice": &discoveryv1.EndpointSlice{}, "Pod": &corev1.Pod{},
	}[meta.Kind]
	if o == nil {
		t.Fatalf("document of kind %q:\n%s", meta.Kind, document)
	}
	if err := yaml.UnmarshalStrict(document, o); err != nil {
		t.Fatal(err)
	}
	return o
}
