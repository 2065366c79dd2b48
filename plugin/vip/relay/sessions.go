package relay

import (
	"net"
	"net/netip"
	"sync"
)

// sessions are the connections that are open. There are no more than max at a time, and maxPerClient of one client: one
// that opens and never closes costs the others nothing.
type sessions struct {
	max, maxPerClient int

	mu        sync.Mutex // guards the following
	closed    bool
	open      map[*session]struct{}
	perClient map[netip.Addr]int
}

func newSessions(max, maxPerClient int) *sessions {
	return &sessions{max: max, maxPerClient: maxPerClient, open: map[*session]struct{}{}, perClient: map[netip.Addr]int{}}
}

// admit is a session for a client's connection; ok is false when it is one too many.
func (s *sessions) admit(conn *net.TCPConn) (admitted *session, ok bool) {
	client := addrOf(conn.RemoteAddr())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.open) >= s.max || s.perClient[client] >= s.maxPerClient {
		return nil, false
	}
	admitted = &session{addr: client, client: conn}
	s.open[admitted] = struct{}{}
	s.perClient[client]++
	return admitted, true
}

func addrOf(a net.Addr) netip.Addr { return a.(*net.TCPAddr).AddrPort().Addr().Unmap() }

func (s *sessions) remove(gone *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, gone)
	if s.perClient[gone.addr]--; s.perClient[gone.addr] == 0 {
		delete(s.perClient, gone.addr)
	}
}

// close resets all connections, and admits none any more.
func (s *sessions) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for open := range s.open {
		open.abort()
	}
}

// locals are the addresses by which clients came whose connections are open.
func (s *sessions) locals() map[netip.Addr]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := map[netip.Addr]bool{}
	for open := range s.open {
		list[addrOf(open.client.LocalAddr())] = true
	}
	return list
}

func (s *sessions) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}
