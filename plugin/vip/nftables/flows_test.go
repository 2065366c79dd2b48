//go:build linux

package nftables

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// udp is a UDP frontend whose serving backends are those of its target.
func udp(f plan.Frontend) plan.Frontend {
	f.Serving = f.Inside.Backends
	return f
}

// caller is a UDP client that keeps its port, as resolvers and sidecars do.
type caller struct {
	h *host
	c net.Conn
}

func (h *host) dialUDP(t *testing.T, addr string) *caller {
	t.Helper()
	var c net.Conn
	var err error
	h.do(func() { c, err = net.Dial("udp", addr) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &caller{h, c}
}

// hears asks until the answer is as wanted: flows are tidied up beside.
func (c *caller) hears(t *testing.T, what, want string) {
	t.Helper()
	var got string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if got = hear(c.c, shortly); got == want {
			return
		}
	}
	t.Errorf("%s: from %s to %v: %q, want %q", what, c.h.name, c.c.RemoteAddr(), got, want)
}

func TestStaleFlows(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	l := newLab(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- l.plane.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	of := func(four, six string) *plan.Service {
		target4, target6 := forward(four), forward(six)
		if four == "" {
			target4.Verdict, target6.Verdict = plan.Reject, plan.Reject
		}
		return named("dns", udp(clusterIP("10.96.0.10:53/udp", target4)), udp(clusterIP("[fd00:96::10]:53/udp", target6)),
			udp(nodePort("0.0.0.0:30053/udp", target4)))
	}
	all, none := []*caller{
		l.b.dialUDP(t, "10.96.0.10:53"), l.b.dialUDP(t, "[fd00:96::10]:53"), l.beyond.dialUDP(t, "192.168.50.1:30053"),
	}, []string{"refused", "refused", "refused"}
	hear := func(what string, want []string) {
		t.Helper()
		for i, c := range all {
			c.hears(t, what, want[i])
		}
	}
	l.adopt(t)
	all[0].hears(t, "before it exists", "timeout")
	l.apply(t, of("10.1.1.2:8080", "[fd00:1:1::2]:8080"))
	hear("created", []string{"a 10.1.2.2", "a fd00:1:2::2", "a 10.1.1.1"})
	bystander := l.b.dialUDP(t, "10.1.1.2:8080")
	bystander.hears(t, "a flow that is nobody's", "a 10.1.2.2")
	known := conntrack(t)

	l.apply(t, of("10.1.2.2:8080", "[fd00:1:2::2]:8080"))
	hear("another pod", []string{"b 10.1.2.1", "b fd00:1:2::1", "b 10.1.2.1"})
	l.apply(t, of("10.1.2.2:8081", "[fd00:1:2::2]:8081"))
	l.b.serve(t, 8081)
	hear("another port", []string{"b 10.1.2.1", "b fd00:1:2::1", "b 10.1.2.1"})
	l.apply(t, of("", ""))
	hear("none", none)
	l.apply(t, of("10.1.1.2:8080", "[fd00:1:1::2]:8080"))
	hear("again", []string{"a 10.1.2.2", "a fd00:1:2::2", "a 10.1.1.1"})

	// It went while we were away.
	again, err := Open(t.Context(), l.plane.log)
	if err != nil {
		t.Fatal(err)
	}
	l.plane = again
	go again.Run(ctx)
	l.adopt(t)
	for i, c := range all[:2] {
		c.hears(t, fmt.Sprintf("removed %d", i), "timeout")
	}
	if after, flow := conntrack(t), "10.1.1.2:8080 10.1.1.2:8080\n"; !strings.Contains(known, flow) || !strings.Contains(after, flow) {
		t.Errorf("flows that are nobody's were %s\nand are %s", known, after)
	}
}

// conntrack are the UDP flows that the kernel knows: what was dialled, and who answers.
func conntrack(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, f := range families() {
		if err := flows(f, func(x flow) bool {
			fmt.Fprintln(&b, x.to, x.from)
			return true
		}); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}
