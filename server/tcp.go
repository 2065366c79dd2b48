package server

import (
	"net"
	"sync"
	"sync/atomic"
)

// tcpSocket accepts the TCP connections of an address. New ones are never refused: where there are too many, that which
// has been idle longest goes, so that connections held open for nothing keep nobody out.
type tcpSocket struct {
	listener *listener
	accepted net.Listener
	most     int // connections at a time
	stopped  atomic.Bool

	mu    sync.Mutex
	conns map[*tcpConn]struct{} // guarded by mu
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
		delete(s.conns, evicted)
	}
	s.conns[c] = struct{}{}
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

// oldest is the connection that sent a whole query the longest ago; one with queries under way only if all have.
func (s *tcpSocket) oldest() *tcpConn {
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

// remove forgets a connection that is closed.
func (s *tcpSocket) remove(c *tcpConn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.listener.meters.connections.Dec()
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
