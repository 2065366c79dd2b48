//go:build !linux

package relay

import (
	"net"
	"net/netip"
)

// sourceFor is where a connection to a backend comes from; the zero address lets the kernel choose.
func sourceFor(*net.Dialer, netip.Addr) netip.AddrPort { return netip.AddrPort{} }

// queuedAt is how many bytes a connection has for the kernel to move by itself, which here it does not.
func queuedAt(uintptr) int64 { return 0 }
