package forward

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// reportUnreachable lets a UDP socket hear of networks and hosts that cannot be reached, which Linux keeps from it
// otherwise: a query there would wait for its timeout. A system that refuses the option is no worse than without it.
func reportUnreachable(network, _ string, c syscall.RawConn) error {
	level, option := unix.SOL_IP, unix.IP_RECVERR
	switch network {
	case "udp4":
	case "udp6":
		level, option = unix.SOL_IPV6, unix.IPV6_RECVERR
	default:
		return nil
	}
	return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), level, option, 1) })
}
