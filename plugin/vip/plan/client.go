package plan

import (
	"net/netip"
	"strings"
)

// From is where a client is; virtual IPs do not answer all alike.
type From uint8

// The places of clients.
const (
	FromPod From = iota
	FromNode
	FromOutside
)

// String names the place.
func (f From) String() string { return [...]string{"a pod", "this node", "outside"}[f] }

// From is where a client is. That it is on this node, a plane knows better than the API, by the machine's own addresses.
func (p *Policy) From(client netip.Addr, onNode bool) From {
	switch {
	case onNode:
		return FromNode
	case contains(p.PodCIDRs, client):
		return FromPod
	}
	return FromOutside
}

// LetsIn tells whether a client may use a frontend; why says by what rule it may not.
func (p *Policy) LetsIn(f *Frontend, client netip.Addr, from From) (why string, ok bool) {
	switch {
	case len(f.Sources) > 0 && !contains(f.Sources, client):
		return "loadBalancerSourceRanges let in only " + spell(f.Sources), false
	case f.Kind != ClusterIP || from == FromPod && p.AllowPods || from == FromNode && p.AllowNode || contains(p.AllowFrom, client):
		return "", true
	}
	return "cluster IPs answer only " + p.insiders(), false
}

// insiders are those whom cluster IPs answer, in words.
func (p *Policy) insiders() string {
	var list []string
	if p.AllowPods {
		list = append(list, "pods ("+spell(p.PodCIDRs)+")")
	}
	if p.AllowNode {
		list = append(list, "this node")
	}
	if len(p.AllowFrom) > 0 {
		list = append(list, spell(p.AllowFrom))
	}
	if len(list) == 0 {
		return "nobody"
	}
	return strings.Join(list, ", ")
}

// spell is a list of ranges in words.
func spell(ranges []netip.Prefix) string {
	if len(ranges) == 0 {
		return "none"
	}
	words := make([]string, len(ranges))
	for i, p := range ranges {
		words[i] = p.String()
	}
	return strings.Join(words, ", ")
}

// DropsUnallocated tells whether connections to addresses of the service CIDRs that no service has are dropped, rather than
// led out of the cluster. Where somebody else forwards some of the services it must not be.
func (p *Policy) DropsUnallocated() bool { return p.All && len(p.ServiceCIDRs) > 0 }

// Target is where clients from there are led.
func (f *Frontend) Target(from From) Target {
	if f.Kind != ClusterIP && from == FromOutside {
		return f.Outside
	}
	return f.Inside
}

// Masquerades tells whether a client from there is led on with this node's address as source. A client that is led to
// itself always is.
func (f *Frontend) Masquerades(from From) bool {
	switch from {
	case FromPod:
		return f.Kind != ClusterIP && f.Masquerade
	case FromNode:
		return f.Kind != ClusterIP
	}
	return f.Masquerade
}
