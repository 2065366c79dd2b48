package relay

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// session is a client's connection and, once it is led there, the one to its backend.
type session struct {
	addr   netip.Addr
	client *net.TCPConn

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

// relay copies both ways until both have ended or one has failed. A direction that has ended leaves the other open: clients
// that shut down for writing still want their answer. Thereafter the other one must move within each halfClosed, as peers
// that have closed altogether look the same from here, and of some of them nothing else is ever heard.
func (s *session) relay(in, out *atomic.Uint64, halfClosed time.Duration) {
	var other sync.WaitGroup
	other.Go(func() { s.copy(s.client, s.backend, out, halfClosed) })
	s.copy(s.backend, s.client, in, halfClosed)
	other.Wait()
	_ = s.client.Close()
	_ = s.backend.Close()
}

// copy moves bytes from src to dst until src has no more. Neither is wrapped, and so the kernel can splice them.
func (s *session) copy(dst, src *net.TCPConn, bytes *atomic.Uint64, halfClosed time.Duration) {
	for {
		n, err := io.Copy(dst, src)
		bytes.Add(uint64(n))
		if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			err = src.SetReadDeadline(time.Now().Add(halfClosed))
			if err == nil {
				continue
			}
		}
		if err == nil {
			err = dst.CloseWrite()
		}
		if err == nil {
			err = dst.SetReadDeadline(time.Now().Add(halfClosed))
		}
		if err != nil {
			s.abort()
		}
		return
	}
}
