package relay

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// sourceFor is where a connection to a backend comes from; the zero address lets the kernel choose.
//
// A backend on this machine's loopback has one client address, 127.0.0.1, and with it some 28,000 ports. Those of
// connections that the client closed first stay in TIME_WAIT for a minute, and to find one among them takes long before there
// are none left. All of 127.0.0.0/8 are this machine's addresses, so we come from many of them.
func sourceFor(d *net.Dialer, backend netip.Addr) netip.AddrPort {
	if !backend.Is4() || !backend.IsLoopback() {
		return netip.AddrPort{}
	}
	d.Control = portWhenConnecting
	n := rand.Uint32()
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1 + byte(n)%16, 1 + byte(n>>8)%254}), 0)
}

// portWhenConnecting lets the kernel choose the port when it knows the other end, so that one port serves many of those. A
// kernel without the option chooses earlier, which is no worse than it was.
func portWhenConnecting(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
}

// queuedAt is how many bytes a connection has that were not read (tcp(7), SIOCINQ).
func queuedAt(fd uintptr) int64 {
	n, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ)
	if err != nil {
		return 0
	}
	return int64(n)
}
