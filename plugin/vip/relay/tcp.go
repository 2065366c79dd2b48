package relay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// listener is the socket of a TCP frontend.
type listener struct {
	relay  *Relay
	socket *net.TCPListener
	view   atomic.Pointer[view]
	closed chan struct{}
	once   sync.Once
}

func (r *Relay) listenTCP(at bind, v *view) (socket, error) {
	config := r.listenConfig(at)
	open, err := config.Listen(r.life, at.network(), at.addr.String())
	if err != nil {
		return nil, err
	}
	l := &listener{relay: r, socket: open.(*net.TCPListener), closed: make(chan struct{})}
	l.view.Store(v)
	r.tasks.Go(l.accept)
	return l, nil
}

func (r *Relay) listenConfig(at bind) net.ListenConfig {
	config := net.ListenConfig{KeepAliveConfig: r.keepAlive()}
	config.SetMultipathTCP(false) // such a connection could not be spliced
	if at.addr.Addr().Is6() && r.machine.has(at.addr.Addr()) {
		config.Control = bindFreely
	}
	return config
}

func (l *listener) show(v *view) { l.view.Store(v) }

func (l *listener) close() {
	l.once.Do(func() { close(l.closed) })
	_ = l.socket.Close()
}

// accept takes connections until the listener is closed. Where the process has no file descriptors left it waits: those who
// connect meanwhile do so in the kernel's queue.
func (l *listener) accept() {
	for {
		conn, err := l.socket.AcceptTCP()
		if err == nil {
			l.take(conn)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		l.relay.counters.acceptErrors.Add(1)
		select {
		case <-l.closed:
			return
		case <-time.After(acceptPause):
		}
	}
}

// take leads a connection to a backend, beside the others. What cannot be is reset, at once: the client knows then, and
// nothing of it stays here.
func (l *listener) take(conn *net.TCPConn) {
	r := l.relay
	s, ok := r.sessions.admit(conn)
	if !ok {
		r.counters.shed.Add(1)
		reset(conn)
		return
	}
	r.tasks.Go(func() {
		defer r.sessions.remove(s)
		if !l.connect(s) {
			s.abort()
			return
		}
		r.counters.connections.Add(1)
		s.relay(r)
	})
}

// connect finds a backend that takes the connection. No byte was sent before one did, so another may be asked; each time
// by the view of that moment, for a backend that refuses may have left it just now.
func (l *listener) connect(s *session) (ok bool) {
	r := l.relay
	var tried []netip.AddrPort
	for len(tried) < r.opts.Attempts {
		v := l.view.Load()
		backend, ok := r.chooser.choose(v, s.addr, tried)
		if !ok {
			break
		}
		conn, err := r.dial(backend)
		if err == nil {
			return s.join(conn)
		}
		tried = append(tried, backend)
		r.chooser.failed(v, s.addr, backend)
		if len(tried) > 1 {
			r.counters.retried.Add(1)
		}
	}
	if len(tried) > 0 {
		r.counters.failed.Add(1)
	} else {
		r.counters.denied.Add(1)
	}
	return false
}

func (r *Relay) dial(backend netip.AddrPort) (*net.TCPConn, error) {
	d := net.Dialer{KeepAliveConfig: r.keepAlive()}
	source := sourceFor(&d, backend.Addr())
	ctx, cancel := context.WithTimeout(r.life, r.opts.DialTimeout)
	defer cancel()
	return d.DialTCP(ctx, network("tcp", backend.Addr()), source, backend)
}

// keepAlive finds out within about two minutes that a peer is gone without a word.
func (r *Relay) keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: r.opts.KeepAlive, Interval: r.opts.KeepAlive / 4, Count: 4}
}
