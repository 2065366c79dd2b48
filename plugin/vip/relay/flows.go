package relay

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
	"time"
)

// flow is what a client sends from one port to one frontend, and the socket by which it goes on to its backend.
type flow struct {
	socket  *packetSocket
	client  netip.AddrPort
	backend netip.AddrPort
	conn    *net.UDPConn     // connected, so that it hears when nobody listens
	tried   []netip.AddrPort // backends at which nobody listened before this one
	began   time.Time
	used    time.Time // guarded by flows.mu
	lasting bool      // guarded by flows.mu
}

// lastingAfter is the age at which a client that sends once more has more to say than a question (as of Linux's conntrack).
const lastingAfter = 2 * time.Second

// flows are those that are open. There are no more than max: the one that was idle longest gives way to a new one. Those that
// were one question and its answer do so first, or else whoever asks much would end what lasts, such as a session of QUIC.
type flows struct {
	max int
	now func() time.Time

	mu             sync.Mutex // guards the following
	closed         bool
	brief, lasting *list.List // of *flow, the one used last at the end
	open           map[*packetSocket]map[netip.AddrPort]*list.Element
}

func newFlows(max int, now func() time.Time) *flows {
	return &flows{
		max: max, now: now, brief: list.New(), lasting: list.New(),
		open: map[*packetSocket]map[netip.AddrPort]*list.Element{},
	}
}

func (t *flows) orderLocked(f *flow) *list.List {
	if f.lasting {
		return t.lasting
	}
	return t.brief
}

// find is a client's flow, which is used by that.
func (t *flows) find(s *packetSocket, client netip.AddrPort) (f *flow, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.open[s][client]
	if !ok {
		return nil, false
	}
	f = e.Value.(*flow)
	f.used = t.now()
	if !f.lasting && f.used.Sub(f.began) > lastingAfter {
		t.brief.Remove(e)
		f.lasting = true
		t.open[s][client] = t.lasting.PushBack(f)
		return f, true
	}
	t.orderLocked(f).MoveToBack(e)
	return f, true
}

// add puts a flow in; ok is false when the table or the flow's socket is closed. A client's earlier flow ends, and evicted tells
// whether one of another client had to.
func (t *flows) add(f *flow) (evicted, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || f.socket.closed.Load() {
		return false, false
	}
	if e, ok := t.open[f.socket][f.client]; ok {
		t.dropLocked(e)
	}
	if t.countLocked() >= t.max {
		evicted = true
		oldest := t.brief.Front()
		if oldest == nil {
			oldest = t.lasting.Front()
		}
		t.dropLocked(oldest)
	}
	if t.open[f.socket] == nil {
		t.open[f.socket] = map[netip.AddrPort]*list.Element{}
	}
	f.began = t.now()
	f.used = f.began
	t.open[f.socket][f.client] = t.brief.PushBack(f)
	return evicted, true
}

// remove ends a flow; it may have ended before.
func (t *flows) remove(f *flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, ok := t.open[f.socket][f.client]; ok && e.Value == f {
		t.dropLocked(e)
	}
}

// removeIf ends those flows of a socket that are so, and tells how many were.
func (t *flows) removeIf(s *packetSocket, so func(*flow) bool) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.open[s] {
		if so(e.Value.(*flow)) {
			t.dropLocked(e)
			n++
		}
	}
	return n
}

// expire ends those that were last used before a time.
func (t *flows) expire(before time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, order := range []*list.List{t.brief, t.lasting} {
		for e := order.Front(); e != nil && e.Value.(*flow).used.Before(before); e = order.Front() {
			t.dropLocked(e)
		}
	}
}

func (t *flows) dropLocked(e *list.Element) {
	f := e.Value.(*flow)
	t.orderLocked(f).Remove(e)
	_ = f.conn.Close()
	delete(t.open[f.socket], f.client)
	if len(t.open[f.socket]) == 0 {
		delete(t.open, f.socket)
	}
}

// close ends all, and takes none any more.
func (t *flows) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, ofSocket := range t.open {
		for _, e := range ofSocket {
			t.dropLocked(e)
		}
	}
}

func (t *flows) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.countLocked()
}

func (t *flows) countLocked() int { return t.brief.Len() + t.lasting.Len() }
