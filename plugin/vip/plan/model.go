package plan

import (
	"net/netip"
	"time"

	"github.com/nameplane/nameplane/cluster"
)

// Policy is what the operator decided, for all services alike.
type Policy struct {
	Node          string // name of this process's node
	All           bool   // take every service that kube-proxy would; else those of ProxyName
	ProxyName     string
	ServiceCIDRs  []netip.Prefix
	PodCIDRs      []netip.Prefix
	AllowPods     bool // ClusterIPs answer clients in PodCIDRs
	AllowNode     bool // ... and on this node
	AllowFrom     []netip.Prefix
	NodePortAddrs []netip.Prefix // addresses of this node on which NodePorts answer; State.Policy fills in its primary ones
	ExternalIPs   bool           // spec.externalIPs are served
	Loopback      netip.Prefix   // a range of 127.0.0.0/8 in which a virtual IP may lie all the same; not valid for none
}

// Kind is by what kind of address a frontend is reached.
type Kind uint8

// The kinds of frontends.
const (
	ClusterIP Kind = iota
	NodePort
	LoadBalancer
	ExternalIP
)

// String is the kind as the API spells it.
func (k Kind) String() string {
	return [...]string{"ClusterIP", "NodePort", "LoadBalancer", "ExternalIP"}[k]
}

// Key is what tells frontends apart: the address, port and protocol that a client dials. The address of a NodePort is the
// unspecified one of its family, since it is reached by any of the node's addresses that NodePorts answer on.
type Key struct {
	Addr     netip.Addr
	Port     uint16
	Protocol cluster.Protocol
}

// Verdict is what becomes of a new connection.
type Verdict uint8

// The verdicts. Reject tells the client that nobody listens; Drop leaves it to try again, as something may listen soon
// or elsewhere.
const (
	Forward Verdict = iota
	Reject
	Drop
)

// String is the verdict in lower case.
func (v Verdict) String() string { return [...]string{"forward", "reject", "drop"}[v] }

// Target is where a group of clients is led: with Forward to one of the backends, each as likely as the others.
type Target struct {
	Verdict  Verdict
	Backends []netip.AddrPort // sorted, without repetition; empty unless the verdict is Forward
}

// Frontend is one address and port of a service. It is immutable; backends of several frontends may be one slice.
type Frontend struct {
	Key      Key
	Kind     Kind
	Port     string        // name of the service's port
	Affinity time.Duration // a client keeps its backend so long after its last new connection; 0 for not
	// Inside is for clients in pods and on this node, Outside for all others. For a ClusterIP only Inside counts; it is
	// for all clients that Policy allows. For the other kinds they differ with externalTrafficPolicy Local alone.
	Inside, Outside Target
	// Masquerade: clients are led on with this node's address as source, for the backend may be on another node, whose
	// answer would not come back this way. It is false with externalTrafficPolicy Local. Which clients it is for, the
	// method Masquerades tells.
	Masquerade bool
	Sources    []netip.Prefix // clients that are let in, sorted; empty for all. For LoadBalancer only
	// Serving are the backends that a UDP flow may still go to, sorted: those that are ready, and those that end but still
	// serve. A flow to any other is stale, and so is every flow of a frontend that is gone. Nil for other protocols.
	Serving []netip.AddrPort
}

// HealthCheck is a port on which load balancers ask whether this node has an endpoint of the service
// (spec.healthCheckNodePort).
type HealthCheck struct {
	Port  uint16
	Local int // addresses of ready endpoints on this node
}

// Service is what one service becomes. It is immutable; one without frontends is gone or not ours.
type Service struct {
	Namespace, Name string
	Frontends       []Frontend // sorted by Key
	Health          *HealthCheck
	Refused         []Refusal
}

// Refusal is a part of a service that cannot be served: the place, the value, and what would be right.
type Refusal struct {
	What string // "cluster IP 127.0.0.1"
	Why  string
}

// String is one line for a log.
func (r Refusal) String() string { return r.What + ": " + r.Why }
