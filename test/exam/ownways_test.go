package exam

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/google/go-cmp/cmp"

	"github.com/nameplane/nameplane/test/peer"
	"github.com/nameplane/nameplane/test/world"
)

// TestOwnWays states what Nameplane does otherwise than CoreDNS with objects that the exam leaves out (see undisputed),
// because no rule about single replies could be tight enough: counts and weights change with them.
//
// A slice of host names makes CoreDNS answer CNAME records beside others of the same owner, which RFC 1034, section
// 3.6.2, forbids. With endpoint_pod_names it calls endpoints by pods' names with dots in them, and denies those names
// when it is asked for them.
func TestOwnWays(t *testing.T) {
	peer.E2E(t)
	r := newRoom(t, 0)
	r.cluster.Load(t, oddEndpoints()...)
	c := corefile{text: ". {\nbind 127.0.0.1\nkubernetes cluster.local {\n" + source + "endpoint_pod_names\n}\n}\n", zone: world.Zone}
	s := r.start(t, &c, nil)
	both := newPair(s.theirs.address, s.ours.address)
	defer both.close()
	const zone = ".default.svc." + world.Zone
	for _, tc := range []struct {
		name         string
		question     string
		qtype        uint16
		theirs, ours []string // rcode and data of the answer, sorted
	}{
		{
			name: "host name beside an address", question: "mixed" + zone, qtype: dns.TypeA,
			theirs: []string{"NOERROR", "A 10.244.0.1", "CNAME backend.example.com."},
			ours:   []string{"NOERROR", "A 10.244.0.1"},
		},
		{
			name: "host name alone", question: "hosts" + zone, qtype: dns.TypeA,
			theirs: []string{"NOERROR", "CNAME backend.example.com."},
			ours:   []string{"NXDOMAIN"},
		},
		{
			name: "pod's name with a dot", question: "dotted" + zone, qtype: dns.TypeSRV,
			theirs: []string{"NOERROR", "SRV 0 100 80 web.0.dotted" + zone},
			ours:   []string{"NOERROR", "SRV 0 100 80 10-244-0-2.dotted" + zone},
		},
		{
			name: "CoreDNS's target", question: "web.0.dotted" + zone, qtype: dns.TypeA,
			theirs: []string{"NXDOMAIN"}, ours: []string{"NXDOMAIN"},
		},
		{
			name: "Nameplane's target", question: "10-244-0-2.dotted" + zone, qtype: dns.TypeA,
			theirs: []string{"NXDOMAIN"}, ours: []string{"NOERROR", "A 10.244.0.2"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			packet, err := new(dns.Msg).SetQuestion(tc.question, tc.qtype).Pack()
			if err != nil {
				t.Fatal(err)
			}
			theirs, ours, err := both.ask("udp", packet)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.theirs, gist(t, theirs)); diff != "" {
				t.Errorf("coredns (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.ours, gist(t, ours)); diff != "" {
				t.Errorf("nameplane (-want +got):\n%s", diff)
			}
		})
	}
}

// gist is the rcode and the data of the answer section, sorted.
func gist(t *testing.T, packet []byte) []string {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		t.Fatal(err)
	}
	list := []string{dns.RcodeToString[m.Rcode]}
	for _, rr := range m.Answer {
		*rr.Header() = dns.RR_Header{Name: ".", Rrtype: rr.Header().Rrtype, Class: dns.ClassINET}
	}
	for _, text := range (view{}).records(m.Answer) {
		list = append(list, text[len(".\t0\tIN\t"):])
	}
	for i := range list {
		list[i] = strings.ReplaceAll(list[i], "\t", " ")
	}
	return list
}

// oddEndpoints are headless services with slices of host names, and one whose pod has a dot in its name.
func oddEndpoints() []runtime.Object {
	var objects []runtime.Object
	add := func(service, suffix string, kind discoveryv1.AddressType, endpoint discoveryv1.Endpoint) {
		port := int32(80)
		objects = append(objects, &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "default", Name: service + suffix, Labels: map[string]string{discoveryv1.LabelServiceName: service},
			},
			AddressType: kind, Endpoints: []discoveryv1.Endpoint{endpoint}, Ports: []discoveryv1.EndpointPort{{Port: &port}},
		})
	}
	for _, name := range []string{"mixed", "hosts", "dotted"} {
		objects = append(objects, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone},
		})
	}
	host := discoveryv1.Endpoint{Addresses: []string{"backend.example.com"}}
	add("mixed", "-1", discoveryv1.AddressTypeIPv4, discoveryv1.Endpoint{Addresses: []string{"10.244.0.1"}})
	add("mixed", "-2", discoveryv1.AddressTypeFQDN, host)
	add("hosts", "-1", discoveryv1.AddressTypeFQDN, host)
	add("dotted", "-1", discoveryv1.AddressTypeIPv4, discoveryv1.Endpoint{
		Addresses: []string{"10.244.0.2"}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "web.0"},
	})
	return objects
}
