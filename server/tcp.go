package server

import (
	"container/list"
	"net"
	"sync"
	"sync/atomic"
)

// tcpSocket accepts the TCP connections of an address. New ones are never refused: where there are too many, the oldest
// goes that has not brought a query yet, or else that which has been idle longest. So connections held open for nothing keep
// nobody out, and a flood of them does not push out those of well-behaved clients, idle as these may be.
type tcpSocket struct {
	listener *listener
	accepted net.Listener
	most     int // connections at a time
	stopped  atomic.Bool

	mu    sync.Mutex
	conns map[*tcpConn]struct{} // guarded by mu
	mute  list.List             // guarded by mu; of *tcpConn: those without a query so far, the oldest first
	count int                   // guarded by mu; connections since the start
}

func newTCPSocket(l *listener, accepted net.Listener) *tcpSocket {
	most := l.options.Connections
	if l.address.tls {
		most = min(most, DefaultTLSConnections)
	}
	return &tcpSocket{listener: l, accepted: accepted, most: most, conns: map[*tcpConn]struct{}{}}
}

// accept serves the socket until it is stopped.
func (s *tcpSocket) accept() {
	l := s.listener
	for {
		conn, err := s.accepted.Accept()
		switch {
		case err == nil:
			s.add(conn)
		case s.stopped.Load() || ended(err):
			return
		default:
			l.log.Warn("cannot accept a connection", "server", l.address.String(), "error", err)
			if !pause(l.ctx, readPause) {
				return
			}
		}
	}
}

// add begins to serve a connection.
func (s *tcpSocket) add(conn net.Conn) {
	s.mu.Lock()
	s.count++
	c := newTCPConn(s, conn, s.count%s.listener.options.Shards)
	var evicted *tcpConn
	if len(s.conns) >= s.most {
		evicted = s.oldest()
		s.forget(evicted)
	}
	s.conns[c] = struct{}{}
	c.mute = s.mute.PushBack(c)
	s.mu.Unlock()
	if evicted != nil {
		s.listener.meters.evicted.Inc()
		evicted.below.Close()
	}
	s.listener.meters.connections.Inc()
	if s.stopped.Load() { // and stop may not have seen it
		c.stop()
	}
	s.listener.tasks.Go(c.read)
}

// oldest is the connection to go first: of those that sent no query the oldest, else the one that sent one the longest ago;
// one with queries under way only if all have. s.mu is held.
func (s *tcpSocket) oldest() *tcpConn {
	if first := s.mute.Front(); first != nil {
		return first.Value.(*tcpConn)
	}
	var found *tcpConn
	busy, used := true, int64(0)
	for c := range s.conns {
		b, u := c.waiting.Load() > 0, c.used.Load()
		if found == nil || busy && !b || busy == b && u < used {
			found, busy, used = c, b, u
		}
	}
	return found
}

// hear notes that a connection brought its first query.
func (s *tcpSocket) hear(c *tcpConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mute.Remove(c.mute) // nothing happens if it is gone already
}

// remove forgets a connection that is closed.
func (s *tcpSocket) remove(c *tcpConn) {
	s.mu.Lock()
	s.forget(c)
	s.mu.Unlock()
	s.listener.meters.connections.Dec()
}

// forget takes a connection off the lists. s.mu is held.
func (s *tcpSocket) forget(c *tcpConn) {
	delete(s.conns, c)
	s.mute.Remove(c.mute)
}

// stop ends accepting and reading; replies still go out.
func (s *tcpSocket) stop() {
	s.stopped.Store(true)
	s.accepted.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.stop()
	}
}

// close cuts all connections off.
func (s *tcpSocket) close() {
	s.accepted.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.below.Close()
	}
}
