package relay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// datagrams is a UDP server that answers each datagram with its own address and what came.
type datagrams struct {
	addr netip.AddrPort
	conn *net.UDPConn
}

func newDatagrams(t testing.TB) *datagrams {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	d := &datagrams{addr: conn.LocalAddr().(*net.UDPAddr).AddrPort(), conn: conn}
	go func() {
		buf := make([]byte, bufferSize)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			_, _ = conn.WriteToUDPAddrPort(fmt.Appendf(nil, "%v %s", d.addr, buf[:n]), from)
		}
	}()
	return d
}

// client is a UDP socket that hears only the virtual address.
func client(t testing.TB, at netip.AddrPort) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask sends a word until somebody answers, and tells who did.
func ask(t testing.TB, c *net.UDPConn) (by netip.AddrPort) {
	t.Helper()
	for range 20 {
		if by, ok := askOnce(t, c, patience/20); ok {
			return by
		}
	}
	t.Fatal("nobody answers")
	return by
}

// askOnce sends one datagram and waits for an answer to it.
func askOnce(t testing.TB, c *net.UDPConn, wait time.Duration) (by netip.AddrPort, ok bool) {
	t.Helper()
	word := fmt.Sprint(time.Now().UnixNano())
	_, _ = c.Write([]byte(word))
	_ = c.SetReadDeadline(time.Now().Add(wait))
	buf := make([]byte, 100)
	for {
		n, err := c.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return by, false
		}
		var name, got string
		if _, err := fmt.Sscan(string(buf[:n]), &name, &got); err == nil && got == word {
			return netip.MustParseAddrPort(name), true
		}
	}
}

// A flow keeps its backend, several are spread, and answers come from the virtual address.
func TestFlows(t *testing.T) {
	t.Parallel()
	const clients = 300
	one, two := newDatagrams(t), newDatagrams(t)
	r, at := newRelay(t, Options{}), virtual(t)
	apply(t, r, service("a", front(at, cluster.UDP, one.addr, two.addr)))
	share := map[netip.AddrPort]int{}
	for range clients {
		c := client(t, at)
		first := ask(t, c)
		share[first]++
		if second := ask(t, c); second != first {
			t.Fatalf("the flow went to %v, then to %v", first, second)
		}
	}
	if n := share[one.addr]; n < 100 || n > 200 { // sqrt(300/4) is 9
		t.Errorf("%d of %d flows are with one of two backends", n, clients)
	}
	s := r.Stats()
	if s.OpenFlows != clients || s.Flows != clients || s.DatagramsIn < 2*clients || s.DatagramsOut < 2*clients {
		t.Errorf("stats %+v", s)
	}
}

// Flows to a backend that no longer serves end at once: what the same client sends next meets one that does.
func TestStaleFlows(t *testing.T) {
	t.Parallel()
	one, two := newDatagrams(t), newDatagrams(t)
	r, at := newRelay(t, Options{}), virtual(t)
	c := client(t, at)
	for _, step := range []struct {
		name    string
		front   plan.Frontend
		serving []netip.AddrPort // beside the backends
		want    netip.AddrPort
	}{
		{name: "begin", front: front(at, cluster.UDP, one.addr), want: one.addr},
		{name: "swap", front: front(at, cluster.UDP, two.addr), want: two.addr},
		{name: "it ends but serves", front: front(at, cluster.UDP, one.addr), serving: []netip.AddrPort{two.addr}, want: two.addr},
		{name: "it has ended", front: front(at, cluster.UDP, one.addr), want: one.addr},
		{name: "scaled to zero", front: front(at, cluster.UDP)},
		{name: "and back", front: front(at, cluster.UDP, two.addr), want: two.addr},
	} {
		step.front.Serving = append(step.front.Serving, step.serving...)
		apply(t, r, service("a", step.front))
		if !step.want.IsValid() {
			if by, ok := askOnce(t, c, 50*time.Millisecond); ok {
				t.Fatalf("%s: %v answered", step.name, by)
			}
			continue
		}
		if got := ask(t, c); got != step.want {
			t.Fatalf("%s: %v answered, want %v", step.name, got, step.want)
		}
	}
	if s := r.Stats(); s.Stale != 2 || s.OpenFlows != 1 {
		t.Errorf("stats %+v", s)
	}
}

// A backend's port at which nobody listens is found out by the first datagram; the next one meets another backend.
func TestUnreachableFlow(t *testing.T) {
	t.Parallel()
	gone := newDatagrams(t)
	_ = gone.conn.Close()
	good := newDatagrams(t)
	r, at, none := newRelay(t, Options{}), virtual(t), virtual(t)
	apply(t, r, service("a", front(at, cluster.UDP, gone.addr, good.addr), front(none, cluster.UDP, gone.addr)))
	for range 20 {
		c := client(t, at)
		if by, ok := askOnce(t, c, 50*time.Millisecond); !ok {
			by, ok = askOnce(t, c, patience)
			if !ok || by != good.addr {
				t.Fatal("the second datagram met nobody")
			}
		}
	}
	c := client(t, none)
	_, _ = c.Write([]byte("x"))
	eventually(t, "the flow has failed", func() bool { s := r.Stats(); return s.FlowsFailed > 0 && s.OpenFlows <= 20 })
}

// Flows end when they are idle, and the one that was idle longest gives way to a new one.
func TestFlowsAreBounded(t *testing.T) {
	t.Parallel()
	clock := newClock()
	server := newDatagrams(t)
	r, at := newRelay(t, Options{MaxFlows: 3, FlowIdle: time.Minute, Now: clock.now}), virtual(t)
	apply(t, r, service("a", front(at, cluster.UDP, server.addr)))
	var list []*net.UDPConn
	for range 3 {
		clock.forward(time.Second)
		list = append(list, client(t, at))
		ask(t, list[len(list)-1])
	}
	clock.forward(time.Second)
	ask(t, list[0]) // now list[1] is idle longest
	ask(t, client(t, at))
	if s := r.Stats(); s.OpenFlows != 3 || s.Evicted != 1 {
		t.Errorf("stats %+v", s)
	}
	ask(t, list[0])
	if n := r.Stats().Flows; n != 4 {
		t.Errorf("%d flows were opened, want 4: the first one is still there", n)
	}
	clock.forward(50 * time.Second)
	ask(t, list[0])
	clock.forward(15 * time.Second)
	r.flows.expire(clock.now().Add(-time.Minute))
	if n := r.Stats().OpenFlows; n != 1 {
		t.Errorf("%d flows are open, want the one that was used", n)
	}
}

// However many ask once, flows that last go on.
func TestFlowsThatLast(t *testing.T) {
	t.Parallel()
	clock := newClock()
	server := newDatagrams(t)
	r, at := newRelay(t, Options{MaxFlows: 10, Now: clock.now}), virtual(t)
	apply(t, r, service("a", front(at, cluster.UDP, server.addr)))
	lasts := client(t, at)
	ask(t, lasts)
	clock.forward(3 * time.Second)
	ask(t, lasts)
	for range 100 {
		clock.forward(time.Millisecond)
		ask(t, client(t, at))
	}
	opened := r.Stats().Flows
	ask(t, lasts)
	if now := r.Stats().Flows; now != opened {
		t.Error("the flow was evicted")
	}
	var others []*net.UDPConn
	for range 20 { // of those that last, the one idle longest
		clock.forward(time.Second)
		others = append(others, client(t, at))
		ask(t, others[len(others)-1])
		clock.forward(3 * time.Second)
		ask(t, others[len(others)-1])
	}
	if s := r.Stats(); s.OpenFlows != 10 {
		t.Errorf("stats %+v", s)
	}
}

// What a client must not reach, or nobody answers now, is dropped without a flow.
func TestDropDatagrams(t *testing.T) {
	t.Parallel()
	server := newDatagrams(t)
	r, at, later := newRelay(t, Options{}), virtual(t), virtual(t)
	dropped := front(later, cluster.UDP)
	dropped.Inside.Verdict = plan.Drop
	s := service("a", front(at, cluster.UDP, server.addr), dropped)
	if err := r.Adopt(t.Context(), &plan.Policy{}, []*plan.Service{s}); err != nil {
		t.Fatal(err)
	}
	for i, to := range []netip.AddrPort{at, later} {
		c := client(t, to)
		_, _ = c.Write([]byte("x"))
		eventually(t, "it is counted", func() bool { return r.Stats().Denied == uint64(i+1) })
		if _, err := c.Write([]byte("x")); err != nil {
			t.Errorf("the client was told: %v", err)
		}
		eventually(t, "it is counted", func() bool { return r.Stats().Denied >= uint64(i+2) })
		r.counters.denied.Store(uint64(i + 1))
	}
	if s := r.Stats(); s.OpenFlows != 0 || s.Flows != 0 {
		t.Errorf("stats %+v", s)
	}
}

// Datagrams of every size come through, empty ones too.
func TestDatagramSizes(t *testing.T) {
	t.Parallel()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var task sync.WaitGroup
	task.Go(func() {
		buf := make([]byte, bufferSize)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteToUDPAddrPort(buf[:n], from)
		}
	})
	defer task.Wait()
	defer conn.Close()
	r, at := newRelay(t, Options{}), virtual(t)
	apply(t, r, service("a", front(at, cluster.UDP, conn.LocalAddr().(*net.UDPAddr).AddrPort())))
	c := client(t, at)
	buf := make([]byte, bufferSize)
	for _, size := range []int{0, 1, 512, 1500, 9000, 65507} {
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := c.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(buf); err != nil || n != size {
			t.Errorf("%d bytes came back of %d, %v", n, size, err)
		}
	}
}
