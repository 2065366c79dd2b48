package apiwatch

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nameplane/nameplane/cluster"
)

// balanced is a service with all that virtual IPs need.
func balanced() *corev1.Service {
	proxy, local, seconds := corev1.LoadBalancerIPModeProxy, corev1.ServiceInternalTrafficPolicyLocal, int32(600)
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "svc", Labels: map[string]string{labelProxyName: "nameplane", "a": "b"}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, ClusterIP: "10.96.0.1", ExternalIPs: []string{"192.0.2.1", "bad"},
			Ports:                    []corev1.ServicePort{{Port: 80, NodePort: 30080}, {Port: 81}},
			LoadBalancerSourceRanges: []string{" 10.0.0.1/8"}, SessionAffinity: corev1.ServiceAffinityClientIP,
			SessionAffinityConfig: &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &seconds}},
			ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal, InternalTrafficPolicy: &local, HealthCheckNodePort: 30081,
		},
		Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{
			{IP: "192.0.2.2"}, {IP: "192.0.2.3", IPMode: &proxy}, {Hostname: "lb.example.org"},
		}}},
	}
}

func TestReadForwarding(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*corev1.Service)
		want   *cluster.Forwarding
		flaws  []flaw
	}{
		{
			name: "everything",
			want: &cluster.Forwarding{
				ProxyName: "nameplane", Balancers: addrs(t, "192.0.2.2"), ExternalIPs: addrs(t, "192.0.2.1"),
				SourceRanges: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, NodePorts: []uint16{30080, 0}, HealthPort: 30081,
				Affinity: 10 * time.Minute, InternalLocal: true, ExternalLocal: true,
			},
			flaws: []flaw{{"spec.externalIPs", "bad"}},
		},
		{
			name: "nothing",
			change: func(s *corev1.Service) {
				*s = corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.96.0.1"}}
			},
			want: &cluster.Forwarding{},
		},
		{name: "headless", change: func(s *corev1.Service) { s.Spec.ClusterIP = "None" }},
		{name: "ExternalName", change: func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeExternalName }},
		{name: "nobody's", change: func(s *corev1.Service) { s.Labels[labelProxyName] = "" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			service := balanced()
			if tt.change != nil {
				tt.change(service)
			}
			got, _, flaws, err := readService(encode(t, service), cluster.Needs{Forwarding: true})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.Forwarding, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
				t.Errorf("forwarding (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.flaws, flaws, cmp.AllowUnexported(flaw{})); diff != "" {
				t.Errorf("flaws (-want +got):\n%s", diff)
			}
			if got.External != nil {
				t.Errorf("outside known as %v, which nobody wants to know", got.External)
			}
		})
	}
}

// KEP-1672: what is not said of an endpoint's conditions.
func TestReadBackends(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	text := func(s string) *string { return &s }
	nowhere := &cluster.Place{}
	first := addrs(t, "10.0.0.1")[0]
	for _, tt := range []struct {
		name     string
		endpoint discoveryv1.Endpoint
		want     cluster.EndpointSpec
	}{
		{name: "nothing said", want: cluster.EndpointSpec{Place: nowhere}},
		{
			name:     "ready",
			endpoint: discoveryv1.Endpoint{Conditions: discoveryv1.EndpointConditions{Ready: &yes, Serving: &yes, Terminating: &no}},
			want:     cluster.EndpointSpec{Place: nowhere},
		},
		{
			name:     "not ready: serving is as ready",
			endpoint: discoveryv1.Endpoint{Conditions: discoveryv1.EndpointConditions{Ready: &no}},
			want:     cluster.EndpointSpec{Unready: true, Unserving: true, Place: nowhere},
		},
		{
			name:     "ending, but serving",
			endpoint: discoveryv1.Endpoint{Conditions: discoveryv1.EndpointConditions{Ready: &no, Serving: &yes, Terminating: &yes}},
			want:     cluster.EndpointSpec{Unready: true, Terminating: true, Place: nowhere},
		},
		{
			name:     "published, but not serving",
			endpoint: discoveryv1.Endpoint{Conditions: discoveryv1.EndpointConditions{Ready: &yes, Serving: &no}},
			want:     cluster.EndpointSpec{Unserving: true, Place: nowhere},
		},
		{
			name: "a place; the zone is no part of a name unless that is asked for",
			endpoint: discoveryv1.Endpoint{NodeName: text("node-1"), Zone: text("Zone-A"), Hints: &discoveryv1.EndpointHints{
				ForNodes: []discoveryv1.ForNode{{Name: "node-1"}}, ForZones: []discoveryv1.ForZone{{Name: "Zone-A"}, {Name: "zone-b"}},
			}},
			want: cluster.EndpointSpec{Place: &cluster.Place{Node: "node-1", Zone: "Zone-A", ForNodes: []string{"node-1"}, ForZones: []string{"Zone-A", "zone-b"}}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.endpoint.Addresses = []string{"10.0.0.1", "10.0.0.2"}
			port := int32(70_000)
			slice := discoveryv1.EndpointSlice{Endpoints: []discoveryv1.Endpoint{tt.endpoint}, Ports: []discoveryv1.EndpointPort{{Port: &port}}}
			var got cluster.SliceSpec
			_, flaws, err := readSlice(encode(t, &slice), cluster.Needs{Endpoints: true, Forwarding: true}, &got)
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Addr = first
			second := tt.want
			second.Addr, second.Further = addrs(t, "10.0.0.2")[0], true
			if diff := cmp.Diff([]cluster.EndpointSpec{tt.want, second}, got.Endpoints, cmpopts.EquateEmpty()); diff != "" || !got.Backends {
				t.Errorf("backends %v; endpoints (-want +got):\n%s", got.Backends, diff)
			}
			if diff := cmp.Diff([]flaw{{"port", "70000"}}, flaws, cmp.AllowUnexported(flaw{})); diff != "" {
				t.Errorf("flaws (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadNode(t *testing.T) {
	t.Parallel()
	now := metav1.Now()
	for _, tt := range []struct {
		name  string
		node  corev1.Node
		want  cluster.Node
		flaws []flaw
	}{
		{
			name: "usual",
			node: corev1.Node{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{labelZone: "eu-1a", "a": "b"}},
				Spec:       corev1.NodeSpec{PodCIDR: "10.244.0.0/24", Taints: []corev1.Taint{{Key: "node.kubernetes.io/not-ready", Value: cluster.TaintLeaving}}},
				Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
					{Type: corev1.NodeHostName, Address: "node-1"}, {Type: corev1.NodeExternalIP, Address: "192.0.2.1"},
					{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}, {Type: corev1.NodeInternalIP, Address: "fd00::1"},
				}},
			},
			want: cluster.Node{Zone: "eu-1a", Addrs: addrs(t, "10.0.0.1", "fd00::1")},
		},
		{
			name: "only outside, and an address that is none",
			node: corev1.Node{Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeExternalIP, Address: "192.0.2.1"}, {Type: corev1.NodeInternalIP, Address: "10.0.0.256"},
			}}},
			want:  cluster.Node{Addrs: addrs(t, "192.0.2.1")},
			flaws: []flaw{{"InternalIP", "10.0.0.256"}},
		},
		{name: "being deleted", node: corev1.Node{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now}}, want: cluster.Node{Leaving: true}},
		{
			name: "about to be deleted",
			node: corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "a"}, {Key: cluster.TaintLeaving, Value: "1"}}}},
			want: cluster.Node{Leaving: true},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.node.Name, tt.want.Name = "node-1", "node-1"
			got, _, flaws, err := readNode(encode(t, &tt.node))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("node (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.flaws, flaws, cmp.AllowUnexported(flaw{})); diff != "" {
				t.Errorf("flaws (-want +got):\n%s", diff)
			}
		})
	}
}

// What is read of random slices is what k8s.io/api's own code has in them.
func TestReadBackendsAgreesWithTheAPIsOwnCode(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	word := func() string { return strings.Repeat(string(rune('a'+r.IntN(26))), 1+r.IntN(200)) }
	maybe := func() *bool { return [...]*bool{nil, new(bool), new(true)}[r.IntN(3)] }
	for range 500 {
		in := discoveryv1.Endpoint{
			Addresses: []string{"10.0.0.1"}, NodeName: new(word()), Zone: new(word()), Hostname: new(word()), DeprecatedTopology: map[string]string{word(): word()},
			Conditions: discoveryv1.EndpointConditions{Ready: maybe(), Serving: maybe(), Terminating: maybe()}, Hints: &discoveryv1.EndpointHints{},
		}
		want := cluster.Place{Node: *in.NodeName, Zone: *in.Zone}
		for range r.IntN(3) {
			in.Hints.ForZones = append(in.Hints.ForZones, discoveryv1.ForZone{Name: word()})
			in.Hints.ForNodes = append(in.Hints.ForNodes, discoveryv1.ForNode{Name: word()})
			want.ForZones = append(want.ForZones, in.Hints.ForZones[len(want.ForZones)].Name)
			want.ForNodes = append(want.ForNodes, in.Hints.ForNodes[len(want.ForNodes)].Name)
		}
		var got cluster.SliceSpec
		_, flaws, err := readSlice(encode(t, &discoveryv1.EndpointSlice{Endpoints: []discoveryv1.Endpoint{in}}), cluster.Needs{Forwarding: true}, &got)
		if err != nil || flaws != nil || len(got.Endpoints) != 1 {
			t.Fatal(err, flaws, got)
		}
		e, ready := got.Endpoints[0], in.Conditions.Ready == nil || *in.Conditions.Ready
		serving, terminating := ready, in.Conditions.Terminating != nil && *in.Conditions.Terminating
		if in.Conditions.Serving != nil {
			serving = *in.Conditions.Serving
		}
		if !reflect.DeepEqual(*e.Place, want) || e.Unready == ready || e.Unserving == serving || e.Terminating != terminating {
			t.Fatalf("%+v of %+v", e, in)
		}
	}
}

// Any bytes are an object or an error, and never more than that.
func FuzzRead(f *testing.F) {
	yes := true
	f.Add(encode(f, &corev1.Service{ObjectMeta: noMeta, Spec: corev1.ServiceSpec{ClusterIP: "10.0.0.1", Ports: []corev1.ServicePort{{Name: "a", Port: 1}}}}))
	f.Add(encode(f, &discoveryv1.EndpointSlice{ObjectMeta: noMeta, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"::1"}, Conditions: discoveryv1.EndpointConditions{Ready: &yes}}}}))
	f.Add(encode(f, &corev1.Pod{ObjectMeta: noMeta, Status: corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}}}}))
	f.Add(encode(f, balanced()))
	f.Add(encode(f, &corev1.Node{ObjectMeta: noMeta, Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "a"}}}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: "InternalIP", Address: "::1"}}}}))
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, object []byte) {
		service, meta, _, err := readService(object, cluster.Needs{External: true, Forwarding: true})
		var typed corev1.Service
		if typed.Unmarshal(object) == nil && err == nil && typed.Name != meta.name {
			t.Errorf("name %q, k8s.io/api reads %q", meta.name, typed.Name)
		}
		if len(service.ClusterIPs) > len(object) {
			t.Error("more addresses than bytes")
		}
		var spec cluster.SliceSpec
		_, _, sliceErr := readSlice(object, cluster.Needs{PodNames: true, Zones: true, Forwarding: true, Imports: true}, &spec)
		hosts, _, hostsErr := readIngress(object)
		_, _, _, nodeErr := readNode(object)
		_, _, _, podErr := readPod(object, cluster.Needs{PodLabels: true})
		_, metaErr := readMetadata(object)
		if metaErr != nil && (err == nil || sliceErr == nil || podErr == nil || nodeErr == nil || hostsErr == nil) {
			t.Errorf("metadata is bad (%v), the object is not", metaErr)
		}
		_, w := cluster.NewStore()
		w.PutService(&service)
		w.PutSlice(&spec)
		w.PutHosts(&hosts)
		_, _ = decodeEvent(object)
		_, _ = unwrap(object)
	})
}
