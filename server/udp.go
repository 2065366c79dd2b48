package server

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

const (
	// maxDatagram is the longest query that is read whole. CoreDNS reads 512 bytes; a query with many EDNS options
	// may be longer.
	maxDatagram = 4096
	// receiveBuffer in bytes is asked of the system, which may give less: it must outlast a pause of the collector.
	receiveBuffer = 4 << 20
	// readPause is the wait after a read that failed for a reason that may pass (no memory for a packet).
	readPause = 10 * time.Millisecond
)

// udpSocket is one of the UDP sockets of an address, and the goroutine that reads it. It works through package net:
// system calls of our own on a locked thread, blocking or not, cost the same within the noise for an echo (5.9 to 6.3 µs
// of CPU at saturation, 14 to 20 µs at 20,000 queries a second, where waking up is most of it).
type udpSocket struct {
	listener *listener
	conn     *net.UDPConn
	shard    int
	local    netip.AddrPort // what the socket is bound to
	wild     bool           // bound to all addresses: each datagram says where it was sent to
	stopped  atomic.Bool
	pool     sync.Pool // of *datagram
}

// datagram is a query by UDP on its way, and its buffers.
type datagram struct {
	plugin.Exchange
	socket  *udpSocket
	from    netip.AddrPort // as the socket spells it
	handed  bool           // another goroutine reads the socket now
	control []byte         // the received control message, made ready for the reply
	oob     [controlSize]byte
	size    int
	packet  [maxDatagram]byte
}

func newUDPSocket(l *listener, conn *net.UDPConn, shard int) *udpSocket {
	local := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	s := &udpSocket{listener: l, conn: conn, shard: shard, local: unmap(local), wild: local.Addr().IsUnspecified()}
	s.pool.New = func() any {
		d := &datagram{socket: s}
		d.Shard, d.Transport = shard, plugin.UDP
		return d
	}
	return s
}

// unmap makes IPv4 of an IPv4-mapped address.
func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// stop ends reading; writing goes on.
func (s *udpSocket) stop() {
	s.stopped.Store(true)
	s.conn.SetReadDeadline(time.Unix(1, 0))
}

// read serves the socket until it is stopped, or until a query made it hand the socket on.
func (s *udpSocket) read() {
	d := s.pool.Get().(*datagram)
	for s.receive(d) {
		s.serve(d)
		if d.handed {
			d.handed = false
			s.listener.waiters.leave()
			break
		}
	}
	s.pool.Put(d)
}

// receive waits for a query; false when the socket is stopped.
func (s *udpSocket) receive(d *datagram) bool {
	for {
		oob := d.oob[:0]
		if s.wild {
			oob = d.oob[:]
		}
		n, controls, _, from, err := s.conn.ReadMsgUDPAddrPort(d.packet[:], oob)
		if err == nil {
			d.begin(from, n, controls)
			return true
		}
		if s.stopped.Load() || ended(err) {
			return false
		}
		s.listener.log.Debug("cannot read a datagram", "server", s.listener.address.String(), "error", err)
		if !pause(s.listener.ctx, readPause) {
			return false
		}
	}
}

// begin notes what came with the packet.
func (d *datagram) begin(from netip.AddrPort, n, controls int) {
	d.from, d.Client, d.Local = from, unmap(from), d.socket.local
	d.Now = d.socket.listener.options.Now()
	d.size, d.control = n, nil
	if d.socket.wild {
		to, control := replyControl(d.oob[:controls])
		d.control = control
		if to.IsValid() {
			d.Local = netip.AddrPortFrom(to, d.socket.local.Port())
		}
	}
}

func (s *udpSocket) serve(d *datagram) {
	t := s.listener.enter(s.shard)
	defer t.leave(s.shard)
	reply := t.answer(s.listener.ctx, &d.Exchange, d, d.packet[:d.size])
	if reply == nil {
		return
	}
	if _, _, err := s.conn.WriteMsgUDPAddrPort(reply, d.control, d.from); err != nil {
		s.listener.log.Debug("cannot send a reply", "client", d.Client.String(), "error", err)
	}
}

// Yield implements plugin.Host: another goroutine reads on.
func (d *datagram) Yield(*plugin.Exchange) error {
	if d.handed {
		return nil
	}
	l := d.socket.listener
	if err := l.waiters.enter(); err != nil {
		return err
	}
	d.handed = true
	l.tasks.Go(d.socket.read)
	return nil
}

// Resolve implements plugin.Host.
func (d *datagram) Resolve(ctx context.Context, x *plugin.Exchange, name wire.Name, qtype uint16) (*dns.Msg, error) {
	return d.socket.listener.resolve(ctx, x, name, qtype)
}

// pause waits; false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
