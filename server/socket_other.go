//go:build !linux

package server

import (
	"context"
	"net"
	"net/netip"
)

const (
	controlSize = 0
	sharded     = false
)

// listenTCP binds a TCP socket.
func listenTCP(ctx context.Context, addr string) (net.Listener, error) {
	var config net.ListenConfig
	return config.Listen(ctx, "tcp", addr)
}

// listenUDP binds a UDP socket. Where one for all addresses answers from is the system's choice here.
func listenUDP(ctx context.Context, addr string) (*net.UDPConn, error) {
	var config net.ListenConfig
	packet, err := config.ListenPacket(ctx, "udp", addr)
	if err != nil {
		return nil, err
	}
	conn := packet.(*net.UDPConn)
	if err := conn.SetReadBuffer(receiveBuffer); err != nil {
		conn.SetReadBuffer(receiveBuffer / 16) // what there is, is enough to go on
	}
	return conn, nil
}

// probe has nothing to find out: without SO_REUSEPORT an address that is taken is an error of its own.
func probe(context.Context, address) error { return nil }

func replyControl([]byte) (to netip.Addr, control []byte) { return to, nil }
