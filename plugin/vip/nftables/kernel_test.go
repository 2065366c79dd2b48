package nftables

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/nameplane/nameplane/plugin/vip/plan"
)

func prefixes(text string) (list []netip.Prefix) {
	for _, word := range strings.Fields(text) {
		list = append(list, netip.MustParsePrefix(word))
	}
	return list
}

func backends(text string) (list []netip.AddrPort) {
	for _, word := range strings.Fields(text) {
		list = append(list, netip.MustParseAddrPort(word))
	}
	return list
}

func forward(text string) plan.Target { return plan.Target{Backends: backends(text)} }

func testPolicy() *plan.Policy {
	return &plan.Policy{
		All: true, AllowPods: true, AllowNode: true,
		ServiceCIDRs: prefixes("10.96.0.0/16 fd00:96::/112"), PodCIDRs: prefixes("10.1.0.0/16 fd00:1::/32"),
		NodePortAddrs: prefixes("192.168.50.1/32 fd00:50::1/128"),
	}
}

// clusterIP is a frontend for all clients alike.
func clusterIP(key string, target plan.Target) plan.Frontend {
	k, err := plan.ParseKey(key)
	if err != nil {
		panic(err)
	}
	return plan.Frontend{Key: k, Inside: target}
}

func named(name string, frontends ...plan.Frontend) *plan.Service {
	return &plan.Service{Namespace: "default", Name: name, Frontends: frontends}
}

// lab is a node, two pods and a host outside.
type lab struct {
	plane              *Plane
	node, a, b, beyond *host
}

func newLab(t *testing.T) *lab {
	t.Helper()
	newNode(t)
	l := &lab{
		node: nodeHost(), a: newHost(t, "a", "10.1.1.", "fd00:1:1::"), b: newHost(t, "b", "10.1.2.", "fd00:1:2::"),
		beyond: newHost(t, "beyond", "192.168.50.", "fd00:50::"),
	}
	for _, h := range []*host{l.a, l.b, l.beyond} {
		h.serve(t, 8080)
		h.reach(t, 8080)
	}
	plane, err := Open(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l.plane = plane
	return l
}

func TestForward(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	l := newLab(t)
	four, six := forward("10.1.1.2:8080 10.1.2.2:8080"), forward("[fd00:1:1::2]:8080 [fd00:1:2::2]:8080")
	all := []*plan.Service{
		named("web", clusterIP("10.96.0.10:80/tcp", four), clusterIP("10.96.0.10:80/udp", four),
			clusterIP("[fd00:96::10]:80/tcp", six), clusterIP("[fd00:96::10]:80/udp", six)),
		named("none", clusterIP("10.96.0.11:80/tcp", plan.Target{Verdict: plan.Reject}), clusterIP("10.96.0.11:81/tcp", plan.Target{Verdict: plan.Drop})),
		named("self", clusterIP("10.96.0.12:80/tcp", forward("10.1.1.2:8080"))),
	}
	if err := l.plane.Adopt(t.Context(), testPolicy(), all); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		from          *host
		network, addr string
		want          string // what every answer is, or is one of
	}{
		{l.a, "tcp", "10.96.0.10:81", "refused"},
		{l.a, "tcp", "10.96.0.10:81", "refused"},
		{l.a, "tcp", "10.96.0.10:81", "refused"},
		{l.a, "tcp", "10.96.0.11:80", "refused"},
		{l.a, "tcp", "10.96.0.11:80", "refused"},
		{l.a, "udp", "10.96.0.10:80", "b 10.1.1.2|a 10.1.1.1"},
		{l.b, "tcp", "[fd00:96::10]:80", "a fd00:1:2::2|b fd00:1:2::1"},
		{l.b, "udp", "[fd00:96::10]:80", "a fd00:1:2::2|b fd00:1:2::1"},
		{l.node, "tcp", "10.96.0.10:80", "a 192.168.50.1|b 192.168.50.1"},
		{l.node, "udp", "[fd00:96::10]:80", "a fd00:50::1|b fd00:50::1"},
		{l.a, "tcp", "10.96.0.11:80", "refused"},
		{l.node, "tcp", "10.96.0.11:80", "refused"},
		{l.a, "tcp", "10.96.0.11:81", "timeout"},
		{l.a, "tcp", "10.96.0.12:80", "a 10.1.1.1"},
		{l.a, "tcp", "10.96.0.10:81", "refused"},
		{l.node, "udp", "10.96.0.10:81", "refused"},
		{l.a, "tcp", "[fd00:96::10]:81", "refused"},
		{l.a, "tcp", "10.96.0.99:80", "timeout"},
		{l.node, "tcp", "[fd00:96::99]:80", "timeout"},
		{l.beyond, "tcp", "10.96.0.10:80", "timeout"},
		{l.beyond, "udp", "[fd00:96::10]:80", "timeout"},
	} {
		expect(t, test.from, test.network, test.addr, test.want)
	}
}

// expect asks until all wanted answers were heard, and fails at any other.
func expect(t *testing.T, from *host, network, addr, want string) {
	t.Helper()
	missing := map[string]bool{}
	for _, answer := range strings.Split(want, "|") {
		missing[answer] = true
	}
	for range 40 {
		got := from.ask(network, addr)
		if !strings.Contains("|"+want+"|", "|"+got+"|") {
			t.Errorf("from %s to %s %s: %q, want %q", from.name, network, addr, got, want)
			return
		}
		if delete(missing, got); len(missing) == 0 {
			return
		}
	}
	t.Errorf("from %s to %s %s: never heard %v", from.name, network, addr, missing)
}
