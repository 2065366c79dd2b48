package relay

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// stickyKey is a client of one port of a service: by whichever of its addresses a client comes, it meets the same backend.
type stickyKey struct {
	service string // namespace/name:port/protocol
	client  netip.Addr
}

// sticky is a client's backend.
type sticky struct {
	key     stickyKey
	backend netip.AddrPort
	until   time.Time
}

// affinity remembers backends for clients (spec.sessionAffinity ClientIP). It holds no more than max of them: whoever came
// back longest ago is forgotten first.
type affinity struct {
	max int

	mu    sync.Mutex // guards the following
	order *list.List // of *sticky, the one used last at the end
	known map[stickyKey]*list.Element
}

func newAffinity(max int) *affinity {
	return &affinity{max: max, order: list.New(), known: map[stickyKey]*list.Element{}}
}

// stick is the backend that the client used within timeout, if it is still usable, else the fresh one. Either is the
// client's from now on.
func (a *affinity) stick(key stickyKey, fresh netip.AddrPort, now time.Time, timeout time.Duration, usable func(netip.AddrPort) bool) netip.AddrPort {
	a.mu.Lock()
	defer a.mu.Unlock()
	for e := a.order.Front(); e != nil && !now.Before(e.Value.(*sticky).until); e = a.order.Front() {
		a.dropLocked(e)
	}
	e, ok := a.known[key]
	if !ok {
		a.known[key] = a.order.PushBack(&sticky{key, fresh, now.Add(timeout)})
		if a.order.Len() > a.max {
			a.dropLocked(a.order.Front())
		}
		return fresh
	}
	s := e.Value.(*sticky)
	if !now.Before(s.until) || !usable(s.backend) {
		s.backend = fresh
	}
	s.until = now.Add(timeout)
	a.order.MoveToBack(e)
	return s.backend
}

// forget lets the client choose anew unless it has another backend by now.
func (a *affinity) forget(key stickyKey, backend netip.AddrPort) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e, ok := a.known[key]; ok && e.Value.(*sticky).backend == backend {
		a.dropLocked(e)
	}
}

func (a *affinity) dropLocked(e *list.Element) {
	delete(a.known, a.order.Remove(e).(*sticky).key)
}

func (a *affinity) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.order.Len()
}
