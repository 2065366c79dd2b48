package relay

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// clock is a time that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Unix(1_000_000, 0)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// A client keeps its backend from connection to connection, on all addresses of the service's port, until it stays away for
// the timeout or the backend is gone.
func TestAffinity(t *testing.T) {
	t.Parallel()
	clock := newClock()
	var list []*backend
	for range 8 {
		list = append(list, newBackend(t, hangUp))
	}
	r, one, two := newRelay(t, Options{Now: clock.now}), virtual(t), virtual(t)
	sticky := func(at netip.AddrPort, backends []*backend) plan.Frontend {
		f := front(at, cluster.TCP, addrs(backends)...)
		f.Affinity = time.Minute
		return f
	}
	apply(t, r, service("a", sticky(one, list), sticky(two, list)))
	taker := func(at netip.AddrPort) *backend {
		t.Helper()
		before := make([]int64, len(list))
		for i, b := range list {
			before[i] = b.taken.Load()
		}
		fetch(t, at)
		for i, b := range list {
			if b.taken.Load() != before[i] {
				return b
			}
		}
		t.Fatal("no backend took the connection")
		return nil
	}
	first := taker(one)
	for range 10 {
		clock.forward(50 * time.Second) // each connection begins the time anew
		if taker(one) != first || taker(two) != first {
			t.Fatal("the client lost its backend")
		}
	}
	moved := 0
	for last := first; moved == 0; {
		clock.forward(time.Minute)
		if next := taker(one); next != last {
			moved++
		}
	}
	held := taker(one)
	held.stop() // dies before the plan knows
	after := taker(one)
	if after == held {
		t.Fatal("a backend that does not listen took a connection")
	}
	for range 10 {
		if taker(two) != after {
			t.Fatal("the client lost its second backend")
		}
	}
	var others []*backend
	for _, b := range list {
		if b != after && b != held {
			others = append(others, b)
		}
	}
	apply(t, r, service("a", sticky(one, others), sticky(two, others)))
	if taker(one) == after {
		t.Fatal("a backend that the plan does not have took a connection")
	}
	if n := r.Stats().Affinities; n != 1 {
		t.Errorf("%d clients are remembered, want 1", n)
	}
}

// The table holds no more than it may, and forgets whoever stayed away longest.
func TestAffinityIsBounded(t *testing.T) {
	t.Parallel()
	a, now := newAffinity(100), time.Unix(0, 0)
	usable := func(netip.AddrPort) bool { return true }
	backend := func(n int) netip.AddrPort { return netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(n)) }
	key := func(n int) stickyKey { return stickyKey{"s", netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})} }
	for n := range 1000 {
		a.stick(key(0), backend(7777), now, time.Minute, usable)
		a.stick(key(n), backend(n), now, time.Minute, usable)
		if a.count() > 100 {
			t.Fatalf("%d are remembered", a.count())
		}
	}
	if got := a.stick(key(0), backend(1), now, time.Minute, usable); got != backend(7777) {
		t.Errorf("who comes all the time was forgotten: %v", got)
	}
	a.stick(key(5), backend(5), now.Add(time.Hour), time.Minute, usable)
	if a.count() != 1 {
		t.Errorf("%d are remembered after an hour", a.count())
	}
}
