package plan

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/nameplane/nameplane/cluster"
)

// view is what every service is planned by: the operator's decisions, and the node that this is.
type view struct {
	policy *Policy
	node   *cluster.Node // nil while it is not known
}

// nodeName is by what name endpoints and hints mean this node; empty when nobody said.
func (v *view) nodeName() string {
	if v.policy.Node == "" && v.node != nil {
		return v.node.Name
	}
	return v.policy.Node
}

// zone is this node's zone; empty when it is not known.
func (v *view) zone() string {
	if v.node == nil {
		return ""
	}
	return v.node.Zone
}

func (v *view) isNodeAddr(a netip.Addr) bool {
	return v.node != nil && slices.Contains(v.node.Addrs, cluster.AddrFrom(a))
}

// nodePortAddrs are the addresses on which NodePorts answer.
func (v *view) nodePortAddrs() (list []netip.Prefix) {
	if len(v.policy.NodePortAddrs) > 0 || v.node == nil {
		return v.policy.NodePortAddrs
	}
	var four, six bool
	for _, a := range v.node.Addrs {
		ip := a.Netip()
		if ip.Is4() && !four || ip.Is6() && !six {
			list = append(list, netip.PrefixFrom(ip, ip.BitLen()))
		}
		four, six = four || ip.Is4(), six || ip.Is6()
	}
	return list
}

// takes tells whether a service is ours to forward: it has virtual IPs at all, and nobody else was named as its proxy.
func (v *view) takes(svc *cluster.Service) bool {
	if svc.Type != cluster.ClusterIP || len(svc.ClusterIPs) == 0 || svc.Forwarding == nil {
		return false
	}
	name := svc.Forwarding.ProxyName
	return v.policy.All && name == "" || name != "" && name == v.policy.ProxyName
}

// address is one address by which a service is reached; that of a NodePort is the unspecified one.
type address struct {
	kind Kind
	addr netip.Addr
}

// what is what a Refusal calls the address.
func (a address) what() string {
	return [...]string{"cluster IP", "node port", "load balancer IP", "external IP"}[a.kind] + " " + a.addr.String()
}

// addresses are those of a service that may be served, and why the others may not. A service has the families of its
// cluster IPs; an address of the other family is nobody's.
func (v *view) addresses(svc *cluster.Service) (list []address, refused []Refusal) {
	var four, six bool
	for _, a := range svc.ClusterIPs {
		list = append(list, address{ClusterIP, a.Netip()})
		four, six = four || a.Is4(), six || !a.Is4()
	}
	for _, a := range svc.Forwarding.Balancers {
		list = append(list, address{LoadBalancer, a.Netip()})
	}
	for _, a := range svc.Forwarding.ExternalIPs {
		list = append(list, address{ExternalIP, a.Netip()})
	}
	list = slices.DeleteFunc(list, func(a address) bool {
		why := v.refuses(svc, a)
		if why == "" && (a.addr.Is4() && !four || a.addr.Is6() && !six) {
			why = "the service has no cluster IP of this family"
		}
		if why != "" {
			refused = append(refused, Refusal{What: a.what(), Why: why})
		}
		return why != ""
	})
	if four {
		list = append(list, address{NodePort, netip.IPv4Unspecified()})
	}
	if six {
		list = append(list, address{NodePort, netip.IPv6Unspecified()})
	}
	return list, refused
}

// refuses says why an address must not be a virtual IP; empty when it may. Whoever may write a Service could otherwise take
// over the node's own connections, or those of its neighbours.
func (v *view) refuses(svc *cluster.Service, a address) string {
	ip := a.addr
	switch {
	case a.kind == ExternalIP && !v.policy.ExternalIPs:
		return "external IPs are off: whoever may write a service could take over any address (CVE-2020-8554)"
	case ip.IsUnspecified():
		return "the unspecified address is no address"
	case ip.IsLoopback() && !(v.policy.Loopback.IsValid() && v.policy.Loopback.Contains(ip)):
		return "a loopback address is every node's own"
	case ip.IsLinkLocalUnicast():
		return "a link-local address is a matter of one link"
	case ip.IsMulticast(), ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "a virtual IP is one host's address, not a group's"
	case v.isNodeAddr(ip):
		return "it is this node's own address"
	case a.kind == ClusterIP && len(v.policy.ServiceCIDRs) > 0 && !contains(v.policy.ServiceCIDRs, ip):
		return "it is outside of the service CIDRs (" + spell(v.policy.ServiceCIDRs) + ")"
	case a.kind == LoadBalancer && !everyone(svc.Forwarding.SourceRanges) && len(ofFamily(svc.Forwarding.SourceRanges, ip)) == 0:
		return "loadBalancerSourceRanges (" + spell(svc.Forwarding.SourceRanges) + ") let in no client of this family"
	}
	return ""
}

// sources are the clients that a load balancer's address lets in; none for all. A node that has the address on an
// interface uses it as source, so it is let in with the node.
func (v *view) sources(svc *cluster.Service, ip netip.Addr) []netip.Prefix {
	own := ofFamily(svc.Forwarding.SourceRanges, ip)
	if everyone(own) {
		return nil
	}
	if v.node != nil && slices.ContainsFunc(v.node.Addrs, func(a cluster.Addr) bool { return contains(own, a.Netip()) }) {
		own = append(own, netip.PrefixFrom(ip, ip.BitLen()))
	}
	slices.SortFunc(own, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	return slices.Compact(own)
}

// everyone tells whether ranges restrict nobody: none are given, or one is a whole family, which is the usual way to write
// "all" even where a service has two.
func everyone(ranges []netip.Prefix) bool {
	return ranges == nil || slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Bits() == 0 })
}

// ofFamily are the ranges of ip's family, a copy.
func ofFamily(ranges []netip.Prefix, ip netip.Addr) (own []netip.Prefix) {
	for _, p := range ranges {
		if p.Addr().Is4() == ip.Is4() {
			own = append(own, p.Masked())
		}
	}
	return own
}

// contains tells whether one of the ranges holds ip.
func contains(ranges []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Contains(ip) })
}
