//go:build !linux

package mmsg

import (
	"errors"
	"net/netip"
	"syscall"
)

type sockaddr struct{}

func (*sockaddr) addrPort() netip.AddrPort { return netip.AddrPort{} }

func able(syscall.RawConn) bool { return false }

type receiving struct{}

func (*receiving) init() {}

func (*receiving) receive(*Conn, []*Incoming) (int, error) { return 0, errors.ErrUnsupported }

type sending struct{}

func (*sending) send(*Conn, []outgoing, func(*Name, error)) {}
