package cluster

import (
	"net/netip"
	"slices"
	"time"
)

// Forwarding is what virtual IPs need of a service beyond its name, addresses and ports; a source that fills it in was
// asked to by Needs.Forwarding. It is immutable.
type Forwarding struct {
	ProxyName   string // label service.kubernetes.io/service-proxy-name; empty for kube-proxy
	Balancers   []Addr // status.loadBalancer.ingress, without those of ipMode Proxy
	ExternalIPs []Addr // spec.externalIPs
	// SourceRanges are spec.loadBalancerSourceRanges, masked: nil for all clients. It is empty, and not nil, where ranges
	// are given of which none can be read; then nobody is let in, as a slip must not open a service to the world.
	SourceRanges  []netip.Prefix
	NodePorts     []uint16      // by index of Service.Ports, 0 for none; nil when no port has one
	Affinity      time.Duration // how long a client keeps its backend (sessionAffinity ClientIP); 0 for not
	HealthPort    uint16        // spec.healthCheckNodePort; 0 for none
	InternalLocal bool          // spec.internalTrafficPolicy is Local
	ExternalLocal bool          // spec.externalTrafficPolicy is Local
}

// Backend is one address of a service that its virtual IPs may lead to. Its strings and slices are shared: they are not
// to be changed.
type Backend struct {
	Addr        Addr
	Ports       []Port   // of the slice that names the address
	Node        string   // name of its node; empty when it is not known
	Zone        string   // its topology zone, likewise
	ForNodes    []string // hints: the nodes and zones that shall use it; empty for no hint
	ForZones    []string
	Ready       bool
	Serving     bool
	Terminating bool
}

// Node is the node that this process runs on.
type Node struct {
	Name  string
	Zone  string // label topology.kubernetes.io/zone
	Addrs []Addr // status.addresses: of each family those of type InternalIP, or else ExternalIP
	// Leaving tells that it is being deleted, or has the taint ToBeDeletedByClusterAutoscaler: it is not to be sent new
	// clients.
	Leaving bool
}

// TaintLeaving is the key of the taint that the cluster autoscaler puts on a node before it takes it away.
const TaintLeaving = "ToBeDeletedByClusterAutoscaler"

func sameForwarding(a, b *Forwarding) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.ProxyName == b.ProxyName && a.HealthPort == b.HealthPort && a.Affinity == b.Affinity &&
		a.InternalLocal == b.InternalLocal && a.ExternalLocal == b.ExternalLocal &&
		slices.Equal(a.Balancers, b.Balancers) && slices.Equal(a.ExternalIPs, b.ExternalIPs) && slices.Equal(a.NodePorts, b.NodePorts) &&
		(a.SourceRanges == nil) == (b.SourceRanges == nil) && slices.Equal(a.SourceRanges, b.SourceRanges)
}
