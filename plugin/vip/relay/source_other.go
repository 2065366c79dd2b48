//go:build !linux

package relay

import (
	"net"
	"net/netip"
)

// sourceFor is where a connection to a backend comes from; the zero address lets the kernel choose.
func sourceFor(*net.Dialer, netip.Addr) netip.AddrPort { return netip.AddrPort{} }
