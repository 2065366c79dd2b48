package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// routeProtocol says in the kernel's routes whose they are (rtm_protocol, rtnetlink(7)); no program is known to use it.
const routeProtocol = 78

// routes are the kernel's by which this machine takes an address for its own: "local ADDR dev lo" in the table local.
// Connections from this machine to it come from loopback then, and not from the address itself.
type routes struct{}

// list are the addresses of the routes that are ours.
func (routes) list() (found []netip.Addr, err error) {
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		dump, err := syscall.NetlinkRIB(unix.RTM_GETROUTE, family)
		if err != nil {
			return nil, fmt.Errorf("read the routes: %w", err)
		}
		messages, err := syscall.ParseNetlinkMessage(dump)
		if err != nil {
			return nil, fmt.Errorf("read the routes: %w", err)
		}
		for i := range messages {
			if a, ok := ownRoute(&messages[i]); ok {
				found = append(found, a)
			}
		}
	}
	return found, nil
}

// ownRoute is the destination of a route that is ours. A message of routes begins with struct rtmsg: family, length of the
// destination, length of the source, type of service, table, protocol, scope, type.
func ownRoute(m *syscall.NetlinkMessage) (a netip.Addr, ok bool) {
	if m.Header.Type != unix.RTM_NEWROUTE || len(m.Data) < unix.SizeofRtMsg || m.Data[5] != routeProtocol || m.Data[7] != unix.RTN_LOCAL {
		return a, false
	}
	attributes, err := syscall.ParseNetlinkRouteAttr(m)
	if err != nil {
		return a, false
	}
	for _, attribute := range attributes {
		if attribute.Attr.Type == unix.RTA_DST {
			return netip.AddrFromSlice(attribute.Value)
		}
	}
	return a, false
}

// add makes a route; one that is there already is left.
func (r routes) add(a netip.Addr) error {
	err := r.change(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, a)
	if err == nil || errors.Is(err, unix.EEXIST) {
		return nil
	}
	return fmt.Errorf("add the route local %v dev lo: %w", a, err)
}

// remove deletes a route of ours, if it is there.
func (r routes) remove(a netip.Addr) error {
	err := r.change(unix.RTM_DELROUTE, 0, a)
	if err == nil || errors.Is(err, unix.ESRCH) {
		return nil
	}
	return fmt.Errorf("delete the route local %v dev lo: %w", a, err)
}

// change sends one request and waits for the kernel's word.
func (routes) change(kind, flags uint16, a netip.Addr) error {
	request, err := routeRequest(kind, flags, a)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	reply := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, reply, 0)
	if err != nil {
		return os.NewSyscallError("recvfrom", err)
	}
	messages, err := syscall.ParseNetlinkMessage(reply[:n])
	if err != nil {
		return err
	}
	for _, m := range messages {
		if m.Header.Type == unix.NLMSG_ERROR && len(m.Data) >= 4 {
			if code := int32(binary.NativeEndian.Uint32(m.Data)); code != 0 {
				return unix.Errno(-code)
			}
			return nil
		}
	}
	return errors.New("the kernel does not acknowledge")
}

// routeRequest is the message for one route.
func routeRequest(kind, flags uint16, a netip.Addr) ([]byte, error) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return nil, err
	}
	family, source := byte(unix.AF_INET), netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if a.Is6() {
		family, source = unix.AF_INET6, netip.IPv6Loopback()
	}
	b := make([]byte, unix.SizeofNlMsghdr, 128)
	b = append(b, family, byte(a.BitLen()), 0, 0, unix.RT_TABLE_LOCAL, routeProtocol, unix.RT_SCOPE_HOST, unix.RTN_LOCAL, 0, 0, 0, 0)
	b = appendAttribute(b, unix.RTA_DST, a.AsSlice())
	b = appendAttribute(b, unix.RTA_OIF, binary.NativeEndian.AppendUint32(nil, uint32(lo.Index)))
	b = appendAttribute(b, unix.RTA_PREFSRC, source.AsSlice())
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	return b, nil
}

// appendAttribute appends a struct rtattr and its value, whose length is a multiple of four.
func appendAttribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	return append(b, value...)
}
