package cluster

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func addresses(t testing.TB, texts ...string) (list []Addr) {
	for _, text := range texts {
		list = append(list, addr(t, text))
	}
	return list
}

func ranges(texts ...string) []netip.Prefix {
	list := []netip.Prefix{}
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// The rules are those of the Service API: https://kubernetes.io/docs/reference/networking/virtual-ips/.
func TestForwardingText(t *testing.T) {
	t.Parallel()
	ingress := []IngressText{{IP: "192.0.2.1"}, {IP: "192.0.2.2", Mode: "VIP"}, {IP: "192.0.2.3", Mode: "Proxy"}, {}, {IP: "192.0.2.1"}, {IP: "lb"}}
	for _, test := range []struct {
		name  string
		text  ForwardingText
		want  *Forwarding
		flaws []Flaw
	}{
		{name: "nothing", want: &Forwarding{}},
		{name: "a proxy", text: ForwardingText{ProxyName: "nameplane"}, want: &Forwarding{ProxyName: "nameplane"}},
		{name: "nobody's", text: ForwardingText{NoProxy: true, ExternalIPs: []string{"bad"}}},
		{
			name:  "a load balancer: ipMode Proxy leads to the backends by itself, an address may come twice",
			text:  ForwardingText{Type: "LoadBalancer", Ingress: ingress},
			want:  &Forwarding{Balancers: addresses(t, "192.0.2.1", "192.0.2.2")},
			flaws: []Flaw{{"status.loadBalancer.ingress.ip", "lb"}},
		},
		{name: "the balancer of a service that has become another type", text: ForwardingText{Type: "ClusterIP", Ingress: ingress}, want: &Forwarding{}},
		{
			name:  "external IPs",
			text:  ForwardingText{ExternalIPs: []string{"192.0.2.1", "2001:DB8::1", "192.0.2.1", "::ffff:192.0.2.2", "192.0.2.256", ""}},
			want:  &Forwarding{ExternalIPs: addresses(t, "192.0.2.1", "2001:db8::1", "192.0.2.2")},
			flaws: []Flaw{{"spec.externalIPs", "192.0.2.256"}, {"spec.externalIPs", ""}},
		},
		{
			name:  "ranges, with spaces, bits beyond the mask, and one that cannot be read",
			text:  ForwardingText{SourceRanges: []string{" 10.1.2.3/8\n", "2001:db8::1/32", "::ffff:192.0.2.9/120", "192.0.2.1", "::ffff:192.0.2.9/24"}},
			want:  &Forwarding{SourceRanges: ranges("10.0.0.0/8", "2001:db8::/32", "192.0.2.0/24")},
			flaws: []Flaw{{"spec.loadBalancerSourceRanges", "192.0.2.1"}, {"spec.loadBalancerSourceRanges", "::ffff:192.0.2.9/24"}},
		},
		{
			name:  "ranges of which none can be read let nobody in",
			text:  ForwardingText{SourceRanges: []string{"10.0.0.0/33"}},
			want:  &Forwarding{SourceRanges: ranges()},
			flaws: []Flaw{{"spec.loadBalancerSourceRanges", "10.0.0.0/33"}},
		},
		{
			name:  "node ports",
			text:  ForwardingText{Type: "NodePort", NodePorts: []int32{0, 65535, -1, 65536}},
			want:  &Forwarding{NodePorts: []uint16{0, 65535, 0, 0}},
			flaws: []Flaw{{"spec.ports.nodePort", "-1"}, {"spec.ports.nodePort", "65536"}},
		},
		{name: "no node ports", text: ForwardingText{Type: "LoadBalancer", NodePorts: []int32{0, 0}}, want: &Forwarding{}},
		{name: "node ports of a type that has none", text: ForwardingText{Type: "ClusterIP", NodePorts: []int32{30000}}, want: &Forwarding{}},
		{
			name: "health",
			text: ForwardingText{Type: "LoadBalancer", ExternalPolicy: "Local", HealthPort: 32000},
			want: &Forwarding{ExternalLocal: true, HealthPort: 32000},
		},
		{
			name: "only balancers of Local services are checked",
			text: ForwardingText{Type: "NodePort", ExternalPolicy: "Local", HealthPort: 32000},
			want: &Forwarding{ExternalLocal: true},
		},
		{
			name:  "a health port that is none",
			text:  ForwardingText{Type: "LoadBalancer", ExternalPolicy: "Local", HealthPort: 1 << 20},
			want:  &Forwarding{ExternalLocal: true},
			flaws: []Flaw{{"spec.healthCheckNodePort", "1048576"}},
		},
		{name: "policies", text: ForwardingText{InternalPolicy: "Local", ExternalPolicy: "Cluster"}, want: &Forwarding{InternalLocal: true}},
		{name: "no affinity", text: ForwardingText{Affinity: "None", AffinitySeconds: 5}, want: &Forwarding{}},
		{name: "affinity for three hours", text: ForwardingText{Affinity: "ClientIP"}, want: &Forwarding{Affinity: 3 * time.Hour}},
		{name: "affinity", text: ForwardingText{Affinity: "ClientIP", AffinitySeconds: 5}, want: &Forwarding{Affinity: 5 * time.Second}},
		{
			name:  "affinity for less than no time",
			text:  ForwardingText{Affinity: "ClientIP", AffinitySeconds: -5},
			want:  &Forwarding{Affinity: 3 * time.Hour},
			flaws: []Flaw{{"spec.sessionAffinityConfig.clientIP.timeoutSeconds", "-5"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, flaws := test.text.Forwarding()
			if !reflect.DeepEqual(got, test.want) || !slices.Equal(flaws, test.flaws) {
				t.Errorf("%+v, flaws %v; want %+v, %v", got, flaws, test.want, test.flaws)
			}
		})
	}
}

// Whatever a service says: never panic, never let everyone in where a range was given, and lose nothing without a flaw.
func FuzzForwardingText(f *testing.F) {
	f.Add("LoadBalancer", "192.0.2.1 ::1 bad", "10.0.0.0/8 ::/0 ::ffff:1.2.3.4/100", int32(30000), int32(5))
	f.Fuzz(func(t *testing.T, kind, ips, sources string, port, seconds int32) {
		text := ForwardingText{
			Type: kind, ExternalIPs: strings.Fields(ips), SourceRanges: strings.Split(sources, " "), ExternalPolicy: "Local",
			NodePorts: []int32{port}, HealthPort: port, Affinity: "ClientIP", AffinitySeconds: seconds,
		}
		for _, ip := range text.ExternalIPs {
			text.Ingress = append(text.Ingress, IngressText{IP: ip})
		}
		got, flaws := text.Forwarding()
		if got.SourceRanges == nil || got.Affinity <= 0 {
			t.Errorf("%+v", got)
		}
		bad := 0
		for _, flaw := range flaws {
			if flaw.Field == "spec.loadBalancerSourceRanges" {
				bad++
			}
		}
		if len(got.SourceRanges)+bad != len(text.SourceRanges) {
			t.Errorf("%d ranges: %v and %d flaws", len(text.SourceRanges), got.SourceRanges, bad)
		}
		for _, r := range got.SourceRanges {
			if !r.IsValid() || r != r.Masked() || r.Addr().Is4In6() {
				t.Errorf("range %v", r)
			}
		}
	})
}

func TestSameForwarding(t *testing.T) {
	t.Parallel()
	base := Forwarding{
		ProxyName: "a", Balancers: addresses(t, "192.0.2.1"), ExternalIPs: addresses(t, "192.0.2.2"), SourceRanges: ranges("10.0.0.0/8"),
		NodePorts: []uint16{1}, HealthPort: 2, Affinity: 3, InternalLocal: true, ExternalLocal: true,
	}
	equal := base
	if !sameForwarding(&base, &equal) || !sameForwarding(nil, nil) || sameForwarding(&base, nil) || sameForwarding(nil, &base) {
		t.Error("equal ones are not")
	}
	if open, closed := (&Forwarding{}), (&Forwarding{SourceRanges: ranges()}); sameForwarding(open, closed) {
		t.Error("for all clients is for none")
	}
	for i := range reflect.TypeFor[Forwarding]().NumField() {
		other := base
		field := reflect.ValueOf(&other).Elem().Field(i)
		field.SetZero()
		if sameForwarding(&base, &other) {
			t.Errorf("a change of %s goes unseen", reflect.TypeFor[Forwarding]().Field(i).Name)
		}
	}
}
