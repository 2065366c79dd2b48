package forward

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"time"
)

// dialer opens a socket or connection, by a time.
type dialer func(deadline time.Time) (net.Conn, error)

// dialTo opens sockets ("udp") or connections ("tcp") to an address, from a source address unless that is the zero one.
func dialTo(network string, to netip.AddrPort, source netip.Addr) dialer {
	d := net.Dialer{Control: reportUnreachable}
	if source.IsValid() {
		local := netip.AddrPortFrom(source, 0)
		d.LocalAddr = net.TCPAddrFromAddrPort(local)
		if network == "udp" {
			d.LocalAddr = net.UDPAddrFromAddrPort(local)
		}
	}
	address := to.String()
	return func(deadline time.Time) (net.Conn, error) {
		d := d
		d.Deadline = deadline
		return d.Dial(network, address)
	}
}

// dialTLS opens connections by TLS (RFC 7858).
func dialTLS(tcp dialer, config *tls.Config) dialer {
	return func(deadline time.Time) (net.Conn, error) {
		raw, err := tcp(deadline)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		defer cancel()
		conn := tls.Client(raw, config)
		if err := conn.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, &net.OpError{Op: "tls handshake", Net: "tcp", Addr: raw.RemoteAddr(), Err: err}
		}
		return conn, nil
	}
}
