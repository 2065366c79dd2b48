package relay

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// nodeAddrs are the addresses of this machine's interfaces, as they were when last looked at.
type nodeAddrs struct {
	now atomic.Pointer[addrSet]
}

type addrSet struct {
	all   map[netip.Addr]bool
	ports []netip.Addr // those on which NodePorts answer, sorted
}

// has tells whether a client with this address is on this machine.
func (n *nodeAddrs) has(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	now := n.now.Load()
	return now != nil && now.all[a]
}

// portAddrs are the addresses for NodePorts of the family of the unspecified address; it itself where there is none.
func (n *nodeAddrs) portAddrs(unspecified netip.Addr) (list []netip.Addr) {
	if now := n.now.Load(); now != nil {
		for _, a := range now.ports {
			if a.Is4() == unspecified.Is4() {
				list = append(list, a)
			}
		}
	}
	if len(list) == 0 {
		list = []netip.Addr{unspecified}
	}
	return list
}

// refresh looks at the interfaces, and tells whether something changed.
func (n *nodeAddrs) refresh(policy *plan.Policy) (changed bool) {
	next := &addrSet{all: map[netip.Addr]bool{}}
	list, _ := net.InterfaceAddrs() // without them only loopback is this machine's
	for _, a := range list {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			next.all[prefix.Addr().Unmap()] = true
		}
	}
	if len(policy.NodePortAddrs) == 0 {
		next.ports = primary()
	}
	for a := range next.all {
		within := func(p netip.Prefix) bool { return p.Contains(a) }
		if !a.IsLoopback() && !a.IsLinkLocalUnicast() && slices.ContainsFunc(policy.NodePortAddrs, within) {
			next.ports = append(next.ports, a)
		}
	}
	slices.SortFunc(next.ports, netip.Addr.Compare)
	before := n.now.Swap(next)
	return before == nil || !slices.Equal(before.ports, next.ports) || !maps.Equal(before.all, next.all)
}

// primary are the addresses by which this machine reaches others, one a family: the sources that the kernel chooses for
// addresses of documentation (RFC 5737, RFC 3849), to which nothing is sent.
func primary() (list []netip.Addr) {
	for _, to := range []string{"198.51.100.1:9", "[2001:db8::1]:9"} {
		conn, err := net.Dial("udp", to)
		if err != nil {
			continue
		}
		a := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
		_ = conn.Close()
		if !a.IsLoopback() && !a.IsLinkLocalUnicast() {
			list = append(list, a)
		}
	}
	return list
}
