package mmsg

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// header is struct mmsghdr of recvmmsg(2); the compiler pads it as C does.
type header struct {
	unix.Msghdr
	length uint32
}

// sockaddr is an address of either family.
type sockaddr unix.RawSockaddrInet6

func (a *sockaddr) addrPort() netip.AddrPort {
	if a.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(a))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), networkOrder(&v4.Port))
	}
	addr := netip.AddrFrom16(a.Addr)
	if a.Scope_id != 0 {
		// The zone of a link-local address by its interface's number, as package net takes it back.
		addr = addr.WithZone(strconv.FormatUint(uint64(a.Scope_id), 10))
	}
	return netip.AddrPortFrom(addr, networkOrder(&a.Port))
}

func networkOrder(port *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(port))[:])
}

// able receives no datagram, to find out whether that can be done.
func able(raw syscall.RawConn) bool {
	ok := false
	err := raw.Control(func(fd uintptr) {
		_, errno := call(unix.SYS_RECVMMSG, fd, new(header), 0)
		ok = errno != unix.ENOSYS && errno != unix.EPERM
	})
	return ok && err == nil
}

// call is recvmmsg or sendmmsg without waiting; n is the number of datagrams.
func call(number, fd uintptr, first *header, size int) (n int, errno syscall.Errno) {
	for {
		r, _, errno := unix.Syscall6(number, fd, uintptr(unsafe.Pointer(first)), uintptr(size), unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EINTR {
			return int(r), errno
		}
	}
}

// receiving is a Receiver's part of the system.
type receiving struct {
	headers [Most]header
	vectors [Most]unix.Iovec
	armed   [Most]*Incoming // what the headers point at; nil for a header that was used
	try     func(fd uintptr) bool
	size    int // of the call
	n       int // its result
	err     error
}

func (r *receiving) init() { r.try = r.tryOnce }

func (r *receiving) receive(conn *Conn, into []*Incoming) (n int, err error) {
	for i, d := range into {
		if r.armed[i] != d {
			r.arm(i, d)
		}
	}
	r.size = len(into)
	if err := conn.raw.Read(r.try); err != nil {
		return 0, err
	}
	if r.err != nil {
		return 0, r.err
	}
	for i, d := range into[:r.n] {
		h := &r.headers[i]
		d.Size, d.Controls, d.From.size = int(h.length), int(h.Controllen), h.Namelen
		r.armed[i] = nil
	}
	return r.n, nil
}

func (r *receiving) arm(i int, d *Incoming) {
	v, h := &r.vectors[i], &r.headers[i]
	v.Base = &d.Packet[0]
	v.SetLen(len(d.Packet))
	h.Msghdr = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&d.From.system)), Namelen: unix.SizeofSockaddrInet6, Iov: v}
	h.SetIovlen(1)
	if len(d.Control) > 0 {
		h.Control = &d.Control[0]
		h.SetControllen(len(d.Control))
	}
	r.armed[i] = d
}

func (r *receiving) tryOnce(fd uintptr) (done bool) {
	n, errno := call(unix.SYS_RECVMMSG, fd, &r.headers[0], r.size)
	r.n, r.err = n, nil
	switch errno {
	case 0:
		return true
	case unix.EAGAIN:
		return false
	}
	r.err = errno
	return true
}

// sending is a Sender's part of the system.
type sending struct {
	headers [Most]header
	vectors [Most]unix.Iovec
	list    []outgoing
	sent    int
	failed  func(to *Name, err error)
	try     func(fd uintptr) bool
}

func (s *sending) send(conn *Conn, list []outgoing, failed func(to *Name, err error)) {
	if s.try == nil {
		s.try = s.tryOnce
	}
	s.list, s.sent, s.failed = list, 0, failed
	for i := range list {
		s.put(i, &list[i])
	}
	if err := conn.raw.Write(s.try); err != nil {
		for _, o := range list[s.sent:] {
			failed(o.to, err)
		}
	}
	clear(s.headers[:len(list)])
	clear(s.vectors[:len(list)])
	s.list, s.failed = nil, nil
}

func (s *sending) put(i int, o *outgoing) {
	v, h := &s.vectors[i], &s.headers[i]
	v.Base = unsafe.SliceData(o.packet)
	v.SetLen(len(o.packet))
	h.Msghdr = unix.Msghdr{Iov: v}
	h.SetIovlen(1)
	if o.to != nil {
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&o.to.system)), o.to.size
	}
	if len(o.control) > 0 {
		h.Control = &o.control[0]
		h.SetControllen(len(o.control))
	}
}

// tryOnce sends what is left. The call stops at the first datagram that cannot be sent; that one is skipped.
func (s *sending) tryOnce(fd uintptr) (done bool) {
	for s.sent < len(s.list) {
		n, errno := call(unix.SYS_SENDMMSG, fd, &s.headers[s.sent], len(s.list)-s.sent)
		switch errno {
		case 0:
			s.sent += n
		case unix.EAGAIN:
			return false
		default:
			s.failed(s.list[s.sent].to, errno)
			s.sent++
		}
	}
	return true
}
