package relay

import (
	"net/netip"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// bufferSize is as much as a datagram can hold.
const bufferSize = 65535

func newBuffers() *sync.Pool {
	return &sync.Pool{New: func() any { return new([bufferSize]byte) }}
}

// receiver reads a socket. While it waits it holds no buffer, so that thousands of sockets that are idle need none.
type receiver struct {
	raw     syscall.RawConn
	step    func(fd uintptr) (done bool)
	buffers *sync.Pool

	buffer *[bufferSize]byte // nil while nothing has come
	n      int
	from   unix.Sockaddr
	err    error
}

func newReceiver(conn syscall.Conn, buffers *sync.Pool) (*receiver, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	r := &receiver{raw: raw, buffers: buffers}
	r.step = r.try
	return r, nil
}

// next waits for a datagram, or for bytes of a stream. They are the caller's until release.
func (r *receiver) next() ([]byte, error) {
	if err := r.raw.Read(r.step); err != nil {
		return nil, err
	}
	if r.err != nil {
		r.release()
		return nil, r.err
	}
	return r.buffer[:r.n], nil
}

func (r *receiver) try(fd uintptr) (done bool) {
	if r.buffer == nil {
		r.buffer = r.buffers.Get().(*[bufferSize]byte)
	}
	r.n, r.from, r.err = unix.Recvfrom(int(fd), r.buffer[:], 0)
	if r.err == unix.EAGAIN || r.err == unix.EINTR {
		r.release()
		return false
	}
	return true
}

func (r *receiver) release() {
	if r.buffer != nil {
		r.buffers.Put(r.buffer)
		r.buffer = nil
	}
}

// sender is where the datagram came from.
func (r *receiver) sender() netip.AddrPort {
	switch from := r.from.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(from.Addr), uint16(from.Port))
	case *unix.SockaddrInet6:
		addr := netip.AddrFrom16(from.Addr)
		if from.ZoneId != 0 {
			addr = addr.WithZone(strconv.Itoa(int(from.ZoneId)))
		}
		return netip.AddrPortFrom(addr, uint16(from.Port))
	}
	return netip.AddrPort{}
}
