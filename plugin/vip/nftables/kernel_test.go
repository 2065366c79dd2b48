//go:build linux

package nftables

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/nameplane/nameplane/plugin/vip/plan"
)

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
	t.Parallel()
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
	for _, test := range []exchange{
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
		test.expect(t)
	}
}

func (l *lab) adopt(t *testing.T, all ...*plan.Service) {
	t.Helper()
	if err := errors.Join(l.plane.Adopt(t.Context(), testPolicy(), all), l.plane.sweep(t.Context())); err != nil {
		t.Fatal(err)
	}
}

func (l *lab) apply(t *testing.T, changed ...*plan.Service) {
	t.Helper()
	if err := l.plane.Apply(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
}

func TestExternal(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	l := newLab(t)
	four, six := forward("10.1.1.2:8080 10.1.2.2:8080"), forward("[fd00:1:1::2]:8080 [fd00:1:2::2]:8080")
	none, refuse := plan.Target{Verdict: plan.Drop}, plan.Target{Verdict: plan.Reject}
	l.adopt(t,
		named("cluster", nodePort("0.0.0.0:30001/tcp", four), nodePort("0.0.0.0:30001/udp", four),
			nodePort("[::]:30001/tcp", six), nodePort("[::]:30001/udp", six)),
		named("local", local(nodePort("0.0.0.0:30002/tcp", four), forward("10.1.2.2:8080")),
			local(nodePort("[::]:30002/udp", six), forward("[fd00:1:2::2]:8080"))),
		named("nowhere", local(nodePort("0.0.0.0:30003/tcp", four), none), nodePort("0.0.0.0:30004/tcp", refuse)),
		named("balanced", loadBalancer("203.0.113.1:80/tcp", four, "192.168.50.0/24 192.168.50.2/32 10.1.1.0/24"),
			loadBalancer("203.0.113.1:81/tcp", four, "198.51.100.0/24"),
			local(loadBalancer("203.0.113.1:82/tcp", four, ""), forward("10.1.1.2:8080")),
			loadBalancer("[2001:db8::1]:80/tcp", six, "fd00:50::/64"),
			loadBalancer("[2001:db8::1]:81/tcp", six, "2001:db8:1::/48")),
	)
	for _, test := range []exchange{
		{l.beyond, "tcp", "192.168.50.1:30001", "a 10.1.1.1|b 10.1.2.1"},
		{l.beyond, "udp", "192.168.50.1:30001", "a 10.1.1.1|b 10.1.2.1"},
		{l.beyond, "tcp", "[fd00:50::1]:30001", "a fd00:1:1::1|b fd00:1:2::1"},
		{l.beyond, "udp", "[fd00:50::1]:30001", "a fd00:1:1::1|b fd00:1:2::1"},
		{l.a, "tcp", "192.168.50.1:30001", "a 10.1.1.1|b 10.1.2.1"},
		{l.node, "tcp", "192.168.50.1:30001", "a 10.1.1.1|b 10.1.2.1"},
		{l.node, "tcp", "127.0.0.1:30001", "refused"},
		{l.node, "tcp", "10.1.1.1:30001", "refused"}, // the node's, but not one on which NodePorts answer
		{l.beyond, "tcp", "192.168.50.1:30002", "b 192.168.50.2"},
		{l.beyond, "udp", "[fd00:50::1]:30002", "b fd00:50::2"},
		{l.a, "tcp", "192.168.50.1:30002", "a 10.1.1.1|b 10.1.1.2"},
		{l.node, "tcp", "192.168.50.1:30002", "a 10.1.1.1|b 10.1.2.1"},
		{l.beyond, "tcp", "192.168.50.1:30003", "timeout"},
		{l.a, "tcp", "192.168.50.1:30003", "a 10.1.1.1|b 10.1.1.2"},
		{l.beyond, "tcp", "192.168.50.1:30004", "refused"},
		{l.node, "tcp", "192.168.50.1:30004", "refused"},
		{l.beyond, "tcp", "203.0.113.1:80", "a 10.1.1.1|b 10.1.2.1"},
		{l.a, "tcp", "203.0.113.1:80", "a 10.1.1.1|b 10.1.2.1"},
		{l.b, "tcp", "203.0.113.1:80", "timeout"},
		{l.beyond, "tcp", "203.0.113.1:81", "timeout"},
		{l.beyond, "tcp", "203.0.113.1:82", "a 192.168.50.2"},
		{l.b, "tcp", "203.0.113.1:82", "a 10.1.2.2|b 10.1.2.1"},
		{l.beyond, "tcp", "[2001:db8::1]:80", "a fd00:1:1::1|b fd00:1:2::1"},
		{l.beyond, "tcp", "[2001:db8::1]:81", "timeout"},
	} {
		test.expect(t)
	}
	// The ranges change: only a's is taken out, and b's comes in.
	l.apply(t, named("balanced", loadBalancer("203.0.113.1:80/tcp", four, "192.168.50.0/24 10.1.2.0/24")))
	exchange{l.a, "tcp", "203.0.113.1:80", "timeout"}.one(t)
	exchange{l.b, "tcp", "203.0.113.1:80", "a 10.1.1.1|b 10.1.2.1"}.expect(t)
	l.apply(t, named("balanced", loadBalancer("203.0.113.1:80/tcp", four, "")))
	exchange{l.a, "tcp", "203.0.113.1:80", "a 10.1.1.1|b 10.1.2.1"}.expect(t)
	if err := l.plane.sweep(t.Context()); err != nil {
		t.Error(err)
	}
}

// Who may use cluster IPs is the operator's decision.
func TestAllowed(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	l := newLab(t)
	svc := named("web", clusterIP("10.96.0.10:80/tcp", forward("10.1.1.2:8080")), clusterIP("[fd00:96::10]:80/tcp", forward("[fd00:1:1::2]:8080")))
	svc.Frontends[0].Masquerade, svc.Frontends[1].Masquerade = true, true
	for _, test := range []struct {
		name                  string
		change                func(*plan.Policy)
		fromPod, node, beyond string
	}{
		{"pods and node", func(*plan.Policy) {}, "a 10.1.2.2", "a 192.168.50.1", "timeout"},
		{"pods", func(p *plan.Policy) { p.AllowNode = false }, "a 10.1.2.2", "timeout", "timeout"},
		{"node", func(p *plan.Policy) { p.AllowPods = false }, "timeout", "a 192.168.50.1", "timeout"},
		{"others too", func(p *plan.Policy) { p.AllowFrom = prefixes("192.168.50.0/24 192.168.50.2/32") }, "a 10.1.2.2", "a 192.168.50.1", "a 10.1.1.1"},
		{"nobody", func(p *plan.Policy) { p.AllowPods, p.AllowNode = false, false }, "timeout", "timeout", "timeout"},
	} {
		policy := testPolicy()
		test.change(policy)
		if err := l.plane.Adopt(t.Context(), policy, []*plan.Service{svc}); err != nil {
			t.Fatal(test.name, err)
		}
		exchange{l.b, "tcp", "10.96.0.10:80", test.fromPod}.expect(t)
		exchange{l.node, "tcp", "10.96.0.10:80", test.node}.expect(t)
		exchange{l.beyond, "tcp", "10.96.0.10:80", test.beyond}.expect(t)
	}
	// Where somebody else forwards the other services, what is not ours goes its way.
	policy := testPolicy()
	policy.All = false
	if err := l.plane.Adopt(t.Context(), policy, []*plan.Service{svc}); err != nil {
		t.Fatal(err)
	}
	exchange{l.b, "tcp", "10.96.0.99:8080", "no route|refused|timeout"}.one(t)
}

// exchange is a question and what may be answered, with | between.
type exchange struct {
	from          *host
	network, addr string
	want          string
}

// one asks once.
func (x exchange) one(t *testing.T) string {
	t.Helper()
	wait := patience
	if strings.Contains(x.want, "timeout") {
		wait = shortly
	}
	got := x.from.ask(x.network, x.addr, wait)
	if !strings.Contains("|"+x.want+"|", "|"+got+"|") {
		t.Errorf("from %s to %s %s: %q, want %q", x.from.name, x.network, x.addr, got, x.want)
	}
	return got
}

// expect asks until all wanted answers were heard, and fails at any other.
func (x exchange) expect(t *testing.T) {
	t.Helper()
	missing := map[string]bool{}
	for _, answer := range strings.Split(x.want, "|") {
		missing[answer] = true
	}
	for range 60 {
		if delete(missing, x.one(t)); len(missing) == 0 || t.Failed() {
			return
		}
	}
	t.Errorf("from %s to %s %s: never heard %v", x.from.name, x.network, x.addr, missing)
}
