package relay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
)

// packetSocket is the socket of a UDP frontend. Replies leave by it, and so they come from where the client sent to.
type packetSocket struct {
	relay  *Relay
	conn   *net.UDPConn
	in     *receiver
	view   atomic.Pointer[view]
	closed atomic.Bool
}

func (r *Relay) listenUDP(at bind, v *view) (socket, error) {
	config := r.listenConfig(at)
	open, err := config.ListenPacket(r.life, at.network(), at.addr.String())
	if err != nil {
		return nil, err
	}
	s := &packetSocket{relay: r, conn: open.(*net.UDPConn)}
	if s.in, err = newReceiver(s.conn, r.buffers); err != nil {
		return nil, err
	}
	s.view.Store(v)
	r.tasks.Go(s.serve)
	return s, nil
}

// show replaces the view, and ends the flows that it no longer has a place for: what the client sends next opens another.
func (s *packetSocket) show(v *view) {
	s.view.Store(v)
	n := s.relay.flows.removeIf(s, func(f *flow) bool { return !v.keeps(f) })
	s.relay.counters.stale.Add(uint64(n))
}

// keeps tells whether a flow may go on.
func (v *view) keeps(f *flow) bool {
	_, ok := v.target(f.client.Addr())
	return ok && slices.Contains(v.front.Serving, f.backend)
}

func (s *packetSocket) close() {
	s.closed.Store(true)
	_ = s.conn.Close()
	s.relay.flows.removeIf(s, func(*flow) bool { return true })
}

// serve reads clients' datagrams until the socket is closed. There is no error of one datagram that ends the others.
func (s *packetSocket) serve() {
	for {
		datagram, err := s.in.next()
		if err == nil {
			s.forward(datagram, s.in.sender())
			s.in.release()
		} else if errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

// forward sends a client's datagram on by its flow, or by a new one. A flow whose backend is known not to listen is replaced,
// once: datagrams may be lost, and the client is the one to send them again.
func (s *packetSocket) forward(datagram []byte, client netip.AddrPort) {
	f, ok := s.relay.flows.find(s, client)
	if !ok {
		if f, ok = s.open(client, nil); !ok {
			return
		}
	}
	_, err := f.conn.Write(datagram)
	if errors.Is(err, syscall.ECONNREFUSED) {
		if f, ok = s.replace(f); !ok {
			return
		}
		_, err = f.conn.Write(datagram)
	}
	if err == nil {
		s.relay.counters.datagramsIn.Add(1)
	}
}

// open makes a flow to a backend that was not tried.
func (s *packetSocket) open(client netip.AddrPort, tried []netip.AddrPort) (f *flow, ok bool) {
	r := s.relay
	for {
		v := s.view.Load()
		backend, ok := r.chooser.choose(v, client.Addr(), tried)
		if !ok {
			r.countUnled(tried)
			return nil, false
		}
		conn, err := new(net.Dialer).DialUDP(context.Background(), network("udp", backend.Addr()), netip.AddrPort{}, backend)
		if err != nil { // without a route there, for one
			r.chooser.failed(v, client.Addr(), backend)
			tried = append(slices.Clip(tried), backend)
			continue
		}
		f = &flow{socket: s, client: client, backend: backend, conn: conn, tried: tried}
		in, err := newReceiver(conn, r.buffers)
		if err != nil || !r.add(f) {
			_ = conn.Close()
			return nil, false
		}
		if now := s.view.Load(); now != v && !now.keeps(f) { // show did not see it
			r.flows.remove(f)
			continue
		}
		r.counters.flows.Add(1)
		r.tasks.Go(func() { s.answer(f, in) })
		return f, true
	}
}

// countUnled counts a flow that has no backend: none took it, or the client has none.
func (r *Relay) countUnled(tried []netip.AddrPort) {
	if len(tried) > 0 {
		r.counters.flowsFailed.Add(1)
	} else {
		r.counters.denied.Add(1)
	}
}

// add puts a flow into the table.
func (r *Relay) add(f *flow) (ok bool) {
	evicted, ok := r.flows.add(f)
	if evicted {
		r.counters.evicted.Add(1)
	}
	return ok
}

// replace ends a flow at whose backend nobody listens, and opens one to another.
func (s *packetSocket) replace(f *flow) (*flow, bool) {
	s.relay.chooser.failed(s.view.Load(), f.client.Addr(), f.backend)
	s.relay.flows.remove(f)
	return s.open(f.client, append(slices.Clip(f.tried), f.backend))
}

// answer takes a flow's replies back to the client until the flow ends.
func (s *packetSocket) answer(f *flow, in *receiver) {
	for {
		datagram, err := in.next()
		switch {
		case err == nil:
			s.relay.flows.find(s, f.client)
			if _, err := s.conn.WriteToUDPAddrPort(datagram, f.client); err == nil {
				s.relay.counters.datagramsOut.Add(1)
			}
			in.release()
		case errors.Is(err, syscall.ECONNREFUSED):
			s.replace(f)
			return
		default:
			s.relay.flows.remove(f)
			return
		}
	}
}
