package server

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchSize is the greatest number of datagrams received or sent by one system call. More do not make it cheaper, and
// each holds the buffers of a query.
const batchSize = 16

// mmsg receives and sends many datagrams at a time (recvmmsg(2), sendmmsg(2)). The packages of the standard library have
// no such calls, and x/net's allocate an address for each datagram; so the calls are made here, on the descriptor that
// the runtime's poller waits for.
type mmsg struct {
	socket   *udpSocket
	raw      syscall.RawConn
	receives func(fd uintptr) bool // method values, made once
	sends    func(fd uintptr) bool

	in     [batchSize]mmsghdr
	inIOV  [batchSize]unix.Iovec
	names  [batchSize]unix.RawSockaddrInet6 // of either family
	spent  int                              // so many slots at the beginning have to be armed again
	out    [batchSize]mmsghdr
	outIOV [batchSize]unix.Iovec
	whose  [batchSize]*datagram // the replies in out
	n      int                  // result of receives
	queued int                  // length of out
	sent   int                  // progress of sends
	err    error                // of receives
}

// mmsghdr is struct mmsghdr of recvmmsg(2); the compiler pads it as C does.
type mmsghdr struct {
	header unix.Msghdr
	length uint32
}

// newCarrier chooses how a socket receives and sends; one by one where a sandbox does not let the calls through.
func newCarrier(s *udpSocket) (carrier, int) {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return singly{socket: s}, 1
	}
	m := &mmsg{socket: s, raw: raw, spent: batchSize}
	if err := withFD(raw, m.probe); err != nil {
		return singly{socket: s}, 1
	}
	m.receives, m.sends = m.tryReceive, m.trySend
	return m, batchSize
}

// probe receives no datagram, to find out whether that can be done.
func (m *mmsg) probe(fd int) error {
	_, errno := mmsgCall(unix.SYS_RECVMMSG, uintptr(fd), &m.in[0], 0)
	if errno == unix.ENOSYS || errno == unix.EPERM {
		return errno
	}
	return nil
}

// mmsgCall is recvmmsg or sendmmsg without waiting; n is the number of datagrams.
func mmsgCall(call, fd uintptr, first *mmsghdr, size int) (n int, errno syscall.Errno) {
	for {
		r, _, errno := unix.Syscall6(call, fd, uintptr(unsafe.Pointer(first)), uintptr(size), unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EINTR {
			return int(r), errno
		}
	}
}

func (m *mmsg) receive(b *batch) (n int, err error) {
	m.arm(b)
	if err := m.raw.Read(m.receives); err != nil {
		return 0, err
	}
	if m.err != nil {
		return 0, m.err
	}
	m.spent = m.n
	for i, d := range b.slots[:m.n] {
		h := &m.in[i]
		d.begin(m.from(i), int(h.length), int(h.header.Controllen))
	}
	return m.n, nil
}

// arm points the headers that were used at the buffers of their slots.
func (m *mmsg) arm(b *batch) {
	for i, d := range b.slots[:m.spent] {
		m.inIOV[i].Base = &d.packet[0]
		m.inIOV[i].SetLen(len(d.packet))
		h := &m.in[i].header
		*h = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&m.names[i])), Namelen: unix.SizeofSockaddrInet6, Iov: &m.inIOV[i]}
		h.SetIovlen(1)
		if m.socket.wild {
			h.Control = &d.oob[0]
			h.SetControllen(len(d.oob))
		}
	}
	m.spent = 0
}

func (m *mmsg) tryReceive(fd uintptr) (done bool) {
	n, errno := mmsgCall(unix.SYS_RECVMMSG, fd, &m.in[0], batchSize)
	m.n, m.err = n, nil
	switch errno {
	case 0:
		return true
	case unix.EAGAIN:
		return false
	}
	m.err = errno
	return true
}

// from is the sender of datagram i.
func (m *mmsg) from(i int) netip.AddrPort {
	name := &m.names[i]
	if name.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), networkOrder(&v4.Port))
	}
	addr := netip.AddrFrom16(name.Addr)
	if name.Scope_id != 0 {
		addr = addr.WithZone(zoneName(name.Scope_id))
	}
	return netip.AddrPortFrom(addr, networkOrder(&name.Port))
}

func networkOrder(port *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(port))[:])
}

// zoneName is the zone of a link-local address as WriteMsgUDPAddrPort takes it back: the interface's number.
func zoneName(scope uint32) string { return strconv.FormatUint(uint64(scope), 10) }

func (m *mmsg) send(b *batch) {
	m.queued, m.sent = 0, 0
	for i, d := range b.slots[:b.n] {
		if d.reply != nil {
			m.queue(i, d)
		}
	}
	for m.sent < m.queued {
		if err := m.raw.Write(m.sends); err != nil {
			m.socket.unsent(m.whose[m.sent], err)
			return
		}
	}
}

// queue adds the reply of slot i, to be sent to where the query came from.
func (m *mmsg) queue(i int, d *datagram) {
	k := m.queued
	m.outIOV[k].Base = &d.reply[0]
	m.outIOV[k].SetLen(len(d.reply))
	h := &m.out[k].header
	*h = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&m.names[i])), Namelen: m.in[i].header.Namelen, Iov: &m.outIOV[k]}
	h.SetIovlen(1)
	if len(d.control) > 0 {
		h.Control = &d.control[0]
		h.SetControllen(len(d.control))
	}
	m.whose[k] = d
	m.queued++
}

// trySend sends what is left. The call stops at the first datagram that cannot be sent; that one is skipped.
func (m *mmsg) trySend(fd uintptr) (done bool) {
	for m.sent < m.queued {
		n, errno := mmsgCall(unix.SYS_SENDMMSG, fd, &m.out[m.sent], m.queued-m.sent)
		switch errno {
		case 0:
			m.sent += n
		case unix.EAGAIN:
			return false
		default:
			m.socket.unsent(m.whose[m.sent], errno)
			m.sent++
		}
	}
	return true
}
