package plan

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/nameplane/nameplane/cluster"
)

// Addresses that must not be virtual IPs (design.md section 5; CVE-2020-8554, CVE-2020-8558).
func TestRefusedAddresses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		addr, why string
		policy    func(*Policy)
	}{
		{addr: "10.96.0.11"},
		{addr: "0.0.0.0", why: "the unspecified address"},
		{addr: "::", why: "the unspecified address"},
		{addr: "127.0.0.1", why: "loopback"},
		{addr: "::1", why: "loopback"},
		{addr: "127.96.0.1", policy: func(p *Policy) { p.Loopback, p.ServiceCIDRs = netip.MustParsePrefix("127.96.0.0/16"), nil }},
		{addr: "127.97.0.1", why: "loopback", policy: func(p *Policy) { p.Loopback = netip.MustParsePrefix("127.96.0.0/16") }},
		{addr: "169.254.20.10", why: "link-local"},
		{addr: "fe80::1", why: "link-local"},
		{addr: "224.0.0.251", why: "one host's address"},
		{addr: "ff02::fb", why: "one host's address"},
		{addr: "255.255.255.255", why: "one host's address"},
		{addr: "192.168.9.1", why: "this node's own address"},
		{addr: "fd00:168::1", why: "this node's own address"},
		{addr: "10.97.0.1", why: "outside of the service CIDRs (10.96.0.0/16, fd00:96::/112)"},
		{addr: "fd00:97::1", why: "outside of the service CIDRs"},
		{addr: "10.97.0.1", policy: func(p *Policy) { p.ServiceCIDRs = nil }},
	} {
		t.Run(test.addr, func(t *testing.T) {
			t.Parallel()
			policy := testPolicy()
			policy.ExternalIPs = true
			if test.policy != nil {
				test.policy(policy)
			}
			v := view{policy, testNode()}
			ip := netip.MustParseAddr(test.addr)
			s := web(func(s *spec) { s.ClusterIPs = addrs("10.96.0.10 " + test.addr) })
			got := v.service(record(s, slice("http:8080", "10.1.0.1", "fd00:1::1")))
			checkRefusal(t, got, "cluster IP "+test.addr, test.why)
			if _, ok := got.find(Key{netip.MustParseAddr("10.96.0.10"), 80, cluster.TCP}); !ok && policy.ServiceCIDRs != nil {
				t.Error("the refusal cost the other address")
			}
			if strings.Contains(test.why, "service CIDRs") {
				test.why = "" // others may be anywhere
			}
			s = web(func(s *spec) {
				s.ClusterIPs = addrs("10.96.0.10 fd00:96::10")
				s.Forwarding.Balancers, s.Forwarding.ExternalIPs = addrs(test.addr), addrs(test.addr)
			})
			got = v.service(record(s, slice("http:8080", "10.1.0.1", "fd00:1::1")))
			checkRefusal(t, got, "load balancer IP "+test.addr, test.why)
			if test.why != "" {
				checkRefusal(t, got, "external IP "+test.addr, test.why)
			}
			_, ok := got.find(Key{ip, 80, cluster.TCP})
			if ok != (test.why == "") {
				t.Errorf("served: %v", ok)
			}
		})
	}
}

func checkRefusal(t *testing.T, s *Service, what, why string) {
	t.Helper()
	at := slices.IndexFunc(s.Refused, func(r Refusal) bool { return r.What == what })
	switch {
	case at < 0 && why != "":
		t.Errorf("%s is not refused", what)
	case at >= 0 && (why == "" || !strings.Contains(s.Refused[at].Why, why)):
		t.Errorf("refused %v, want %q", s.Refused[at], why)
	}
}

func TestRefusedOtherwise(t *testing.T) {
	t.Parallel()
	one := []cluster.SliceSpec{slice("http:8080", "10.1.0.1")}
	runServices(t, []serviceTest{
		{
			name: "external IPs are off", slices: one, spec: func(s *spec) { s.Forwarding.ExternalIPs = addrs("198.51.100.7") },
			want: []string{
				"ClusterIP 10.96.0.10:80/tcp: 10.1.0.1:8080",
				"refused external IP 198.51.100.7: external IPs are off: whoever may write a service could take over any address (CVE-2020-8554)",
			},
		},
		{
			name: "an address of a family that the service has not", slices: one, spec: func(s *spec) { s.Forwarding.Balancers = addrs("2001:db8::5") },
			want: []string{
				"ClusterIP 10.96.0.10:80/tcp: 10.1.0.1:8080",
				"refused load balancer IP 2001:db8::5: the service has no cluster IP of this family",
			},
		},
	})
}
