package server

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// controlSize holds the control message of either family.
const controlSize = 64

// sharded: an address may have several sockets, among which the kernel shares datagrams out by flow.
const sharded = true

// listenTCP binds a TCP socket.
func listenTCP(ctx context.Context, addr string) (net.Listener, error) {
	config := net.ListenConfig{Control: control(reusePort)}
	return config.Listen(ctx, "tcp", addr)
}

// listenUDP binds a UDP socket. One for all addresses learns where each datagram was sent to.
func listenUDP(ctx context.Context, addr string) (*net.UDPConn, error) {
	config := net.ListenConfig{Control: control(reusePort)}
	packet, err := config.ListenPacket(ctx, "udp", addr)
	if err != nil {
		return nil, err
	}
	conn := packet.(*net.UDPConn)
	raw, err := conn.SyscallConn()
	if err == nil {
		err = withFD(raw, func(fd int) error { return tune(fd, conn.LocalAddr().(*net.UDPAddr)) })
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// probe tells whether an address is free. With SO_REUSEPORT a second server would get half of the first one's queries
// instead of an error.
func probe(ctx context.Context, a address) error {
	var config net.ListenConfig
	tcp, err := config.Listen(ctx, "tcp", a.bind())
	if err != nil {
		return err
	}
	defer tcp.Close()
	if a.tls {
		return nil
	}
	udp, err := config.ListenPacket(ctx, "udp", a.bind())
	if err != nil {
		return err
	}
	return udp.Close()
}

func reusePort(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }

func control(set func(fd int) error) func(network, address string, raw syscall.RawConn) error {
	return func(_, _ string, raw syscall.RawConn) error { return withFD(raw, set) }
}

func withFD(raw syscall.RawConn, f func(fd int) error) error {
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// tune asks for a large buffer, past the system's limit where we are allowed to, and for control messages.
func tune(fd int, local *net.UDPAddr) error {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer) // what there is, is enough to go on
	}
	if !local.IP.IsUnspecified() {
		return nil
	}
	family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return err
	}
	if family == unix.AF_INET6 {
		// Of an IPv4 datagram it is told in mapped form, and taken back in that form.
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
}

// replyControl makes the control message of a datagram that of its reply, in place: sent from the address that was
// asked (RFC 1123, section 4.1.3.5). The interface is left to routing, but for link-local addresses, which mean nothing
// without it.
func replyControl(oob []byte) (to netip.Addr, control []byte) {
	if len(oob) < unix.SizeofCmsghdr {
		return to, nil
	}
	header, data, _, err := unix.ParseOneSocketControlMessage(oob)
	if err != nil {
		return to, nil
	}
	switch {
	case header.Level == unix.IPPROTO_IPV6 && header.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
		to = netip.AddrFrom16([16]byte(data[:16])).Unmap()
		if !to.IsLinkLocalUnicast() {
			binary.NativeEndian.PutUint32(data[16:], 0)
		}
	case header.Level == unix.IPPROTO_IP && header.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
		to = netip.AddrFrom4([4]byte(data[8:12]))
		binary.NativeEndian.PutUint32(data, 0)
		copy(data[4:8], data[8:12])
	default:
		return to, nil
	}
	if to.IsMulticast() {
		return to, nil
	}
	return to, oob[:unix.CmsgSpace(len(data))]
}
