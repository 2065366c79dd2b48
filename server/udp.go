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

// udpSocket is one of the UDP sockets of an address, and the goroutine that reads it.
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
	batch   *batch         // that it came in with; nil once another goroutine serves that on
	from    netip.AddrPort // as the socket spells it
	control []byte         // the received control message, made ready for the reply
	oob     [controlSize]byte
	size    int
	reply   []byte // nil for none
	packet  [maxDatagram]byte
}

// batch is datagrams that were received together, so that their replies can be sent together. Its owner is the goroutine
// that reads the socket.
type batch struct {
	slots   []*datagram
	n       int // of the slots hold a datagram
	next    int // to be served
	carrier carrier
}

// carrier is how datagrams get in and out of a socket: many with one system call where the system has that, which saves a
// fifth of the CPU time of a busy socket (an echo takes 4.5 instead of 5.6 µs), or one by one.
type carrier interface {
	// receive waits for datagrams and puts them into the first slots; n is how many.
	receive(b *batch) (n int, err error)
	// send sends the replies of the datagrams in b.
	send(b *batch)
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

// read serves the socket from its beginning.
func (s *udpSocket) read() {
	carrier, size := newCarrier(s)
	b := &batch{slots: make([]*datagram, size), carrier: carrier}
	for i := range b.slots {
		b.slots[i] = s.pool.Get().(*datagram)
	}
	s.serveOn(b)
}

// serveOn serves what is left of a batch, and then all that comes, until the socket is stopped or a query that waits makes
// another goroutine serve on.
func (s *udpSocket) serveOn(b *batch) {
	for {
		for b.next < b.n {
			d := b.slots[b.next]
			b.next++
			d.batch = b
			s.serve(d)
			if d.batch == nil {
				s.sendLate(d)
				return
			}
		}
		b.carrier.send(b)
		if !s.receive(b) {
			return
		}
	}
}

// receive waits for queries; false when the socket is stopped.
func (s *udpSocket) receive(b *batch) bool {
	for {
		n, err := b.carrier.receive(b)
		if err == nil {
			b.n, b.next = n, 0
			now := s.listener.options.Now()
			for _, d := range b.slots[:n] {
				d.Now = now
			}
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
	d.size, d.control, d.reply = n, nil, nil
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
	d.reply = t.answer(s.listener.ctx, &d.Exchange, d, d.packet[:d.size])
}

// sendLate sends the reply of a query that waited, and lets it go.
func (s *udpSocket) sendLate(d *datagram) {
	if d.reply != nil {
		s.write(d)
	}
	s.listener.waiters.leave()
	d.reply = nil
	s.pool.Put(d)
}

// write sends one reply.
func (s *udpSocket) write(d *datagram) {
	if _, _, err := s.conn.WriteMsgUDPAddrPort(d.reply, d.control, d.from); err != nil {
		s.unsent(d, err)
	}
}

func (s *udpSocket) unsent(d *datagram, err error) {
	s.listener.log.Debug("cannot send a reply", "client", d.Client.String(), "error", err)
}

// Yield implements plugin.Host: another goroutine serves the rest of the batch and reads on.
func (d *datagram) Yield(*plugin.Exchange) error {
	b := d.batch
	if b == nil {
		return nil
	}
	l := d.socket.listener
	if err := l.waiters.enter(); err != nil {
		return err
	}
	d.batch = nil
	b.slots[b.next-1] = d.socket.pool.Get().(*datagram)
	l.tasks.Go(func() { d.socket.serveOn(b) })
	return nil
}

// singly receives and sends one datagram at a time, through package net.
type singly struct{ socket *udpSocket }

func (p singly) receive(b *batch) (n int, err error) {
	d := b.slots[0]
	oob := d.oob[:0]
	if p.socket.wild {
		oob = d.oob[:]
	}
	size, controls, _, from, err := p.socket.conn.ReadMsgUDPAddrPort(d.packet[:], oob)
	if err != nil {
		return 0, err
	}
	d.begin(from, size, controls)
	return 1, nil
}

func (p singly) send(b *batch) {
	for _, d := range b.slots[:b.n] {
		if d.reply != nil {
			p.socket.write(d)
		}
	}
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
