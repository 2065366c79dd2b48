package cluster

import (
	"net/netip"
	"time"
)

// Forwarding is what virtual IPs need of a service beyond its name, addresses and ports; a source that fills it in was
// asked to by Needs.Forwarding. It is immutable.
type Forwarding struct {
	ProxyName     string         // label service.kubernetes.io/service-proxy-name; empty for kube-proxy
	Balancers     []Addr         // status.loadBalancer.ingress, without those of ipMode Proxy
	ExternalIPs   []Addr         // spec.externalIPs
	SourceRanges  []netip.Prefix // spec.loadBalancerSourceRanges; none for all clients
	NodePorts     []uint16       // by index of Service.Ports; 0 for none
	HealthPort    uint16         // spec.healthCheckNodePort; 0 for none
	Affinity      time.Duration  // how long a client keeps its backend (sessionAffinity ClientIP); 0 for not
	InternalLocal bool           // spec.internalTrafficPolicy is Local
	ExternalLocal bool           // spec.externalTrafficPolicy is Local
}

// Backend is one address of a service that its virtual IPs may lead to. Its strings and slices are shared: they are not
// to be changed.
type Backend struct {
	Addr        Addr
	Ports       []Port   // of the slice that names the address
	Node        string   // name of its node; empty when it is not known
	ForNodes    []string // hints: the nodes and zones that shall use it; empty for no hint
	ForZones    []string
	Ready       bool
	Serving     bool
	Terminating bool
}

// Backends are a service's backends, merged over its slices. They are immutable.
type Backends struct {
	list []Backend
}

// Len is how many there are.
func (b *Backends) Len() int { return len(b.list) }

// At is the i-th backend; they are sorted by address.
func (b *Backends) At(i int) Backend { return b.list[i] }

// Node is the node that this process runs on.
type Node struct {
	Name  string
	Zone  string // label topology.kubernetes.io/zone
	Addrs []Addr // status.addresses: those of type InternalIP, or else ExternalIP
	// Leaving tells that it is being deleted, or has the taint ToBeDeletedByClusterAutoscaler: it is not to be sent new
	// clients.
	Leaving bool
}
