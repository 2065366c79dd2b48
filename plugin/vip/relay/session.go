package relay

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// session is a client's connection and, once it is led there, the one to its backend.
type session struct {
	addr   netip.Addr
	client *net.TCPConn
	half   atomic.Bool // one direction has ended

	mu      sync.Mutex   // guards the following
	backend *net.TCPConn // nil while none has answered
	aborted bool
}

// join makes conn the session's backend; ok is false when the session was aborted meanwhile.
func (s *session) join(conn *net.TCPConn) (ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.aborted {
		reset(conn)
		return false
	}
	s.backend = conn
	return true
}

// abort resets both connections. Copies that are under way end by that.
func (s *session) abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.aborted {
		return
	}
	s.aborted = true
	reset(s.client)
	if s.backend != nil {
		reset(s.backend)
	}
}

// reset closes a connection so that the other end sees a reset, and nothing of it stays here, not even for TIME_WAIT.
func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

// relay moves bytes both ways until both have ended or one has failed. A direction that has ended leaves the other open:
// clients that shut down for writing still want their answer. Thereafter the other one must move within each halfClosed, as
// peers that have closed altogether look the same from here, and of some of them nothing else is ever heard.
func (s *session) relay(r *Relay) {
	var other sync.WaitGroup
	other.Go(func() { s.pass(r, s.client, s.backend, &r.counters.bytesOut) })
	s.pass(r, s.backend, s.client, &r.counters.bytesIn)
	other.Wait()
	_ = s.client.Close()
	_ = s.backend.Close()
}

// pass moves bytes from src to dst until src has no more, and passes on how it ended.
func (s *session) pass(r *Relay, dst, src *net.TCPConn, bytes *atomic.Uint64) {
	m, err := newMover(dst, src, r.buffers)
	for err == nil {
		if s.half.Load() {
			_ = src.SetReadDeadline(time.Now().Add(r.opts.HalfClosed))
		}
		var n int64
		n, err = m.move()
		bytes.Add(uint64(n))
	}
	if err == io.EOF {
		err = dst.CloseWrite()
		s.half.Store(true)
		_ = dst.SetReadDeadline(time.Now().Add(r.opts.HalfClosed))
	}
	if err != nil {
		s.abort()
	}
}
