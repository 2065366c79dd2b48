package apiwatch

import (
	"maps"
	"math/rand/v2"
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

// marshaler is any object of the API in protobuf.
type marshaler interface{ Marshal() ([]byte, error) }

func encode(t testing.TB, object marshaler) []byte {
	t.Helper()
	b, err := object.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func addrs(t testing.TB, texts ...string) (list []cluster.Addr) {
	t.Helper()
	for _, text := range texts {
		a, err := cluster.ParseAddr(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, a)
	}
	return list
}

var noMeta = metav1.ObjectMeta{Namespace: "ns", Name: "svc", ResourceVersion: "7"}

// Kubernetes DNS specification 1.1.0, sections 2.3 (cluster IP), 2.4 (headless) and 2.5 (ExternalName).
func TestReadService(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		spec     corev1.ServiceSpec
		status   corev1.ServiceStatus
		external bool // is wanted
		want     cluster.ServiceSpec
		flaws    []flaw
	}{
		{
			name:     "by what it is known outside",
			external: true,
			spec:     corev1.ServiceSpec{ClusterIP: "10.96.0.1", ExternalIPs: []string{"192.0.2.1", "2001:db8::1"}, LoadBalancerIP: "192.0.2.9"},
			status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{
				{IP: "192.0.2.2", Ports: []corev1.PortStatus{{Port: 80}}}, {Hostname: "lb.example.org"}, {IP: "192.0.2.3", Hostname: "unused.example.org"}, {},
			}}},
			want: cluster.ServiceSpec{Type: cluster.ClusterIP, ClusterIPs: addrs(t, "10.96.0.1"), External: []cluster.External{
				{Addr: addrs(t, "192.0.2.1")[0]}, {Addr: addrs(t, "2001:db8::1")[0]}, {Addr: addrs(t, "192.0.2.2")[0]},
				{Name: "lb.example.org"}, {Addr: addrs(t, "192.0.2.3")[0]},
			}},
		},
		{
			name:   "by what it is known outside, but nobody wants to know",
			spec:   corev1.ServiceSpec{ClusterIP: "10.96.0.1", ExternalIPs: []string{"192.0.2.1"}},
			status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "192.0.2.2"}}}},
			want:   cluster.ServiceSpec{Type: cluster.ClusterIP, ClusterIPs: addrs(t, "10.96.0.1")},
		},
		{
			name: "dual stack",
			spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.96.0.1", ClusterIPs: []string{"10.96.0.1", "fd00::1"}},
			want: cluster.ServiceSpec{Type: cluster.ClusterIP, ClusterIPs: addrs(t, "10.96.0.1", "fd00::1")},
		},
		{
			name: "clusterIP alone, as before dual stack",
			spec: corev1.ServiceSpec{ClusterIP: "10.96.0.1"},
			want: cluster.ServiceSpec{Type: cluster.ClusterIP, ClusterIPs: addrs(t, "10.96.0.1")},
		},
		{
			name: "node port and load balancer answer as cluster IP",
			spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, ClusterIP: "10.96.0.1", ClusterIPs: []string{"10.96.0.1"}, ExternalName: "not.used.example"},
			want: cluster.ServiceSpec{Type: cluster.ClusterIP, ClusterIPs: addrs(t, "10.96.0.1")},
		},
		{
			name: "ports",
			spec: corev1.ServiceSpec{ClusterIP: "10.96.0.1", Ports: []corev1.ServicePort{
				{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53, NodePort: 30053}, {Name: "web", Protocol: corev1.ProtocolTCP, Port: 65535},
				{Protocol: corev1.ProtocolSCTP, Port: 1}, {Port: 2},
			}},
			want: cluster.ServiceSpec{Type: cluster.ClusterIP, ClusterIPs: addrs(t, "10.96.0.1"), Ports: []cluster.Port{
				{Name: "dns", Protocol: cluster.UDP, Number: 53}, {Name: "web", Protocol: cluster.TCP, Number: 65535},
				{Protocol: cluster.SCTP, Number: 1}, {Protocol: cluster.TCP, Number: 2},
			}},
		},
		{
			name: "headless",
			spec: corev1.ServiceSpec{ClusterIP: "None", ClusterIPs: []string{"None"}},
			want: cluster.ServiceSpec{Type: cluster.Headless},
		},
		{
			name: "headless by clusterIP alone",
			spec: corev1.ServiceSpec{ClusterIP: "None"},
			want: cluster.ServiceSpec{Type: cluster.Headless},
		},
		{
			name: "ExternalName",
			spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "db.example.org", ClusterIP: "10.96.0.1"},
			want: cluster.ServiceSpec{Type: cluster.ExternalName, ExternalName: "db.example.org"},
		},
		{
			name: "no address yet",
			spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP},
			want: cluster.ServiceSpec{Type: cluster.ClusterIP},
		},
		{
			name:  "an address that is none",
			spec:  corev1.ServiceSpec{ClusterIPs: []string{"10.96.0.1", "10.96.0.256", ""}},
			want:  cluster.ServiceSpec{Type: cluster.ClusterIP, ClusterIPs: addrs(t, "10.96.0.1")},
			flaws: []flaw{{"cluster IP", "10.96.0.256"}, {"cluster IP", ""}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, meta, flaws, err := readService(encode(t, &corev1.Service{ObjectMeta: noMeta, Spec: tt.spec, Status: tt.status}), cluster.Needs{External: tt.external})
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Namespace, tt.want.Name = "ns", "svc"
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("service (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.flaws, flaws, cmp.AllowUnexported(flaw{})); diff != "" {
				t.Errorf("flaws (-want +got):\n%s", diff)
			}
			if meta.version != "7" {
				t.Errorf("resourceVersion %q, want 7", meta.version)
			}
		})
	}
}

// Kubernetes DNS specification 1.1.0, section 2.4.1: an endpoint goes by its hostname, else by its address.
func TestReadSlice(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	text := func(s string) *string { return &s }
	number := func(n int32) *int32 { return &n }
	pod := func(name string) *corev1.ObjectReference {
		return &corev1.ObjectReference{Kind: "Pod", Namespace: "ns", Name: name, UID: "1"}
	}
	udp := corev1.ProtocolUDP
	at := func(a string) cluster.EndpointSpec { return cluster.EndpointSpec{Addr: addrs(t, a)[0]} }
	trigger := time.Date(2026, 11, 21, 3, 42, 58, 123456789, time.UTC)
	for _, tt := range []struct {
		name  string
		needs cluster.Needs
		slice discoveryv1.EndpointSlice
		want  cluster.SliceSpec
		flaws []flaw
	}{
		{
			name: "only ready endpoints, with all addresses; unknown is ready",
			slice: discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{
				{Addresses: []string{"10.0.0.1", "10.0.0.2"}},
				{Addresses: []string{"10.0.0.3"}, Conditions: discoveryv1.EndpointConditions{Ready: &yes, Serving: &no, Terminating: &yes}},
				{Addresses: []string{"10.0.0.4"}, Conditions: discoveryv1.EndpointConditions{Ready: &no, Serving: &yes}},
				{Addresses: []string{"10.0.0.5"}, Conditions: discoveryv1.EndpointConditions{Serving: &no}},
			}},
			want: cluster.SliceSpec{Endpoints: []cluster.EndpointSpec{at("10.0.0.1"), at("10.0.0.2"), at("10.0.0.3"), at("10.0.0.5")}},
		},
		{
			name:  "hostname before pod name; a pod's name only when asked for, and as far as it is a label",
			needs: cluster.Needs{PodNames: true},
			slice: discoveryv1.EndpointSlice{Endpoints: []discoveryv1.Endpoint{
				{Addresses: []string{"10.0.0.1"}, Hostname: text("db-0"), TargetRef: pod("pod-0")},
				{Addresses: []string{"10.0.0.2"}, TargetRef: pod("pod-1")},
				{Addresses: []string{"10.0.0.3"}, TargetRef: pod(strings.Repeat("p", 63))},
				{Addresses: []string{"10.0.0.4"}, TargetRef: pod(strings.Repeat("p", 64))},
			}},
			want: cluster.SliceSpec{Endpoints: []cluster.EndpointSpec{
				{Addr: at("10.0.0.1").Addr, Name: "db-0"}, {Addr: at("10.0.0.2").Addr, Name: "pod-1", PodName: true},
				{Addr: at("10.0.0.3").Addr, Name: strings.Repeat("p", 63), PodName: true}, at("10.0.0.4"),
			}},
		},
		{
			name: "no pod names and no zones unless asked for",
			slice: discoveryv1.EndpointSlice{Endpoints: []discoveryv1.Endpoint{
				{Addresses: []string{"10.0.0.1"}, TargetRef: pod("pod-1"), Zone: text("eu-1a")},
			}},
			want: cluster.SliceSpec{Endpoints: []cluster.EndpointSpec{at("10.0.0.1")}},
		},
		{
			name:  "zone",
			needs: cluster.Needs{Zones: true},
			slice: discoveryv1.EndpointSlice{Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, Zone: text("eu-1a")}}},
			want:  cluster.SliceSpec{Endpoints: []cluster.EndpointSpec{{Addr: at("10.0.0.1").Addr, Zone: "eu-1a"}}},
		},
		{
			name: "ports; one that is not known is 0",
			slice: discoveryv1.EndpointSlice{Ports: []discoveryv1.EndpointPort{
				{Name: text("web"), Port: number(8080)}, {Name: text(""), Port: nil}, {Name: text("dns"), Port: number(53), Protocol: &udp},
			}},
			want: cluster.SliceSpec{Ports: []cluster.Port{{Name: "web", Number: 8080}, {}, {Name: "dns", Number: 53, Protocol: cluster.UDP}}},
		},
		{
			name: "IPv6 as it is written, where that is not the usual way",
			slice: discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv6, Endpoints: []discoveryv1.Endpoint{
				{Addresses: []string{"fd00::1"}}, {Addresses: []string{"fd00:0:0::2"}}, {Addresses: []string{"FD00::3"}},
				{Addresses: []string{"fd00:0::"}}, {Addresses: []string{"fd00:0::5"}, Hostname: text("named")},
			}},
			want: cluster.SliceSpec{Endpoints: []cluster.EndpointSpec{
				at("fd00::1"), {Addr: at("fd00::2").Addr, Name: "fd00-0-0--2"}, {Addr: at("fd00::3").Addr, Name: "FD00--3"},
				{Addr: at("fd00::").Addr, Name: "fd00-0--0"}, {Addr: at("fd00::5").Addr, Name: "named"},
			}},
		},
		{
			name: "FQDN addresses are left out",
			slice: discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeFQDN, Endpoints: []discoveryv1.Endpoint{
				{Addresses: []string{"a.example.org", "10.0.0.1"}},
			}},
			flaws: []flaw{{"address type", "FQDN"}},
		},
		{
			name: "an address that is none",
			slice: discoveryv1.EndpointSlice{Endpoints: []discoveryv1.Endpoint{
				{Addresses: []string{"10.0.0.01"}}, {Addresses: []string{"10.0.0.2"}},
			}},
			want:  cluster.SliceSpec{Endpoints: []cluster.EndpointSpec{at("10.0.0.2")}},
			flaws: []flaw{{"endpoint address", "10.0.0.01"}},
		},
		{
			name: "trigger",
			slice: discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{
				Annotations: map[string]string{"a": "b", corev1.EndpointsLastChangeTriggerTime: trigger.Format(time.RFC3339Nano)},
			}},
			want: cluster.SliceSpec{Trigger: trigger},
		},
		{
			name: "a trigger that is no time",
			slice: discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{
				Annotations: map[string]string{corev1.EndpointsLastChangeTriggerTime: "yesterday"},
			}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.slice.Namespace, tt.slice.Name = "ns", "svc-1"
			tt.slice.Labels = map[string]string{"app": "svc", discoveryv1.LabelServiceName: "svc"}
			tt.want.Namespace, tt.want.Name, tt.want.Service = "ns", "svc-1", "svc"
			// What an earlier slice left must not show through.
			got := cluster.SliceSpec{Service: "other", Trigger: trigger, Ports: make([]cluster.Port, 3), Endpoints: make([]cluster.EndpointSpec, 9)}
			_, flaws, err := readSlice(encode(t, &tt.slice), tt.needs, &got)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("slice (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.flaws, flaws, cmp.AllowUnexported(flaw{})); diff != "" {
				t.Errorf("flaws (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadPod(t *testing.T) {
	t.Parallel()
	now := metav1.Now()
	for _, tt := range []struct {
		name     string
		pod      corev1.Pod
		want     []string
		deleting bool
	}{
		{
			name: "both families",
			pod:  corev1.Pod{Status: corev1.PodStatus{PodIP: "10.0.0.1", PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}, {IP: "fd00::1"}}}},
			want: []string{"10.0.0.1", "fd00::1"},
		},
		{name: "podIP alone", pod: corev1.Pod{Status: corev1.PodStatus{PodIP: "10.0.0.1"}}, want: []string{"10.0.0.1"}},
		{name: "no address yet", pod: corev1.Pod{}},
		{
			name:     "being deleted",
			pod:      corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now}, Status: corev1.PodStatus{PodIP: "10.0.0.1"}},
			want:     []string{"10.0.0.1"},
			deleting: true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.pod.Namespace, tt.pod.Name = "ns", "pod"
			got, meta, flaws, err := readPod(encode(t, &tt.pod), cluster.Needs{Pods: true})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(cluster.PodSpec{Namespace: "ns", Name: "pod", Addrs: addrs(t, tt.want...)}, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("pod (-want +got):\n%s", diff)
			}
			if meta.deleting != tt.deleting || len(flaws) > 0 {
				t.Errorf("deleting %v, want %v; flaws %v", meta.deleting, tt.deleting, flaws)
			}
		})
	}
}

// Random objects with every field that matters, and many that don't, read as k8s.io/api reads them.
func TestReadAgreesWithTheAPIsOwnCode(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	word := func() string { return strings.Repeat(string(rune('a'+r.IntN(26))), r.IntN(200)) }
	for range 500 {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: word(), Namespace: word(), ResourceVersion: word(), UID: "u", Generation: r.Int64(), GenerateName: word(),
				CreationTimestamp: metav1.Now(), Labels: map[string]string{word(): word(), labelService: word()},
				Annotations: map[string]string{word(): word(), annotationEnd: "true"}, Finalizers: []string{word()},
				ManagedFields: []metav1.ManagedFieldsEntry{{Manager: word(), FieldsV1: &metav1.FieldsV1{Raw: []byte(word())}}},
			},
			Spec:   corev1.PodSpec{NodeName: word(), Containers: []corev1.Container{{Name: word(), Image: word(), Args: []string{word(), word()}}}},
			Status: corev1.PodStatus{Phase: "Running", Message: word(), HostIP: "192.0.2.1", PodIPs: []corev1.PodIP{{IP: "10.0.0.9"}}},
		}
		spec, meta, _, err := readPod(encode(t, pod), cluster.Needs{Pods: true, PodLabels: true})
		if err != nil {
			t.Fatal(err)
		}
		want := metadata{namespace: pod.Namespace, name: pod.Name, version: pod.ResourceVersion, service: pod.Labels[labelService], listed: true}
		want.labels = pod.Labels
		if !reflect.DeepEqual(meta, want) || !maps.Equal(spec.Labels, pod.Labels) || spec.Name != pod.Name || len(spec.Addrs) != 1 || spec.Addrs[0] != addrs(t, "10.0.0.9")[0] {
			t.Fatalf("%+v of %+v", meta, pod.ObjectMeta)
		}
	}
}
