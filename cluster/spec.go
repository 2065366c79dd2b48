package cluster

import (
	"cmp"
	"time"
)

// Kind is a kind of object that the Store holds.
type Kind uint8

// The kinds, in the order in which a log line or a metric shows them.
const (
	KindService Kind = iota
	KindEndpointSlice
	KindNamespace
	KindPod
	KindNode
	KindServiceImport
	KindIngress
	KindGateway
	KindHTTPRoute
	kinds
)

// Kinds lists every kind.
func Kinds() []Kind {
	return []Kind{
		KindService, KindEndpointSlice, KindNamespace, KindPod, KindNode, KindServiceImport, KindIngress, KindGateway, KindHTTPRoute,
	}
}

// String is the resource's plural name, as kubectl and RBAC rules spell it.
func (k Kind) String() string {
	return [...]string{
		"services", "endpointslices", "namespaces", "pods", "nodes", "serviceimports", "ingresses", "gateways", "httproutes",
	}[k]
}

// Needs says what consumers of a Store read. Sources leave out everything else before they buffer anything.
type Needs struct {
	Endpoints bool // endpoint slices, ready addresses
	PodNames  bool // the pod's name of an endpoint that has no hostname
	Zones     bool // an endpoint's topology zone
	Pods      bool // pods by address
	PodLabels bool // the labels of those pods
	External  bool // by what services are known outside of the cluster
	Imports   bool // services that other clusters share: see Store.Imports
	Ingresses bool // host names of Ingresses: see Store.Host
	Gateways  bool // host names of Gateways and HTTPRoutes
	// Forwarding: how a service's virtual IPs are to be forwarded, and its backends, also those that are not ready. It
	// implies Endpoints.
	Forwarding bool
	Node       string // the node of this name; empty for none
}

// Union is what serves both.
func (n Needs) Union(m Needs) Needs {
	return Needs{
		Endpoints:  n.Endpoints || m.Endpoints,
		PodNames:   n.PodNames || m.PodNames,
		Zones:      n.Zones || m.Zones,
		Pods:       n.Pods || m.Pods,
		PodLabels:  n.PodLabels || m.PodLabels,
		External:   n.External || m.External,
		Imports:    n.Imports || m.Imports,
		Ingresses:  n.Ingresses || m.Ingresses,
		Gateways:   n.Gateways || m.Gateways,
		Forwarding: n.Forwarding || m.Forwarding,
		Node:       cmp.Or(n.Node, m.Node),
	}
}

// Full is n with what its parts imply.
func (n Needs) Full() Needs {
	n.Endpoints = n.Endpoints || n.Forwarding
	return n
}

// Joins tells whether one source can serve both: it follows one node at most.
func (n Needs) Joins(m Needs) bool { return n.Node == "" || m.Node == "" || n.Node == m.Node }

// Covers tells whether a source that serves n also serves m.
func (n Needs) Covers(m Needs) bool { return n.Joins(m) && n.Union(m) == n }

// ServiceType says how a service's name is answered.
type ServiceType uint8

// A service that is not there may still have endpoint slices: its record is Absent, and only its reverse names count.
const (
	Absent ServiceType = iota
	ClusterIP
	Headless
	ExternalName
)

// Protocol of a port.
type Protocol uint8

// The protocols that a Service can have.
const (
	TCP Protocol = iota
	UDP
	SCTP
)

// String is the protocol in lower case, as it stands in names.
func (p Protocol) String() string { return [...]string{"tcp", "udp", "sctp"}[p] }

// ParseProtocol reads the protocol of an API object; the API's default is TCP.
func ParseProtocol(s string) Protocol {
	switch s {
	case "UDP":
		return UDP
	case "SCTP":
		return SCTP
	}
	return TCP
}

// Port is a port of a service or of an endpoint slice. Number is 0 where the slice's port is not known.
type Port struct {
	Name     string
	Protocol Protocol
	Number   uint16
}

// External is by what a service is known outside of the cluster: an address, or the name of a load balancer.
type External struct {
	Addr Addr
	Name string // empty for an address
}

// ParseExternal reads an external address, or a load balancer's host name.
func ParseExternal(text string) External {
	if addr, err := ParseAddr(text); err == nil {
		return External{Addr: addr}
	}
	return External{Name: text}
}

// String is the address or the name.
func (e External) String() string {
	if e.Name != "" {
		return e.Name
	}
	return e.Addr.String()
}

// ServiceSpec is what a source hands over of a Service.
type ServiceSpec struct {
	Namespace, Name string
	Type            ServiceType
	ClusterIPs      []Addr
	ExternalName    string
	Ports           []Port
	External        []External // with Needs.External: spec.externalIPs, then status.loadBalancer.ingress
	Forwarding      *Forwarding
}

// EndpointSpec is one address of an endpoint slice. Without Needs.Forwarding only ready endpoints are handed over, and
// what stands below PodName is left out.
type EndpointSpec struct {
	Addr Addr
	// Name is the hostname or, with Needs.PodNames and no hostname, the pod's name; empty when the endpoint goes by
	// its address.
	Name string
	Zone string // with Needs.Zones
	// PodName tells that Name is the pod's, which only some consumers use.
	PodName bool

	Unready     bool // the conditions; an endpoint without any is ready and serving
	Unserving   bool
	Terminating bool
	// Further tells that it is not the first address of its endpoint: a name has all of them, a virtual IP leads to the
	// first only.
	Further bool
	Place   *Place // nil when nothing is known of it
}

// Place is where an endpoint is, and for whom.
type Place struct {
	Node, Zone         string
	ForNodes, ForZones []string // hints
}

// SliceSpec is what a source hands over of an EndpointSlice.
type SliceSpec struct {
	Namespace, Name string
	Service         string // of the label kubernetes.io/service-name
	// Import and Cluster are, with Needs.Imports, the labels multicluster.kubernetes.io/service-name and source-cluster:
	// the slice belongs to a service that is imported from other clusters, and maybe to one of this cluster, too.
	Import, Cluster string
	Ports           []Port
	Endpoints       []EndpointSpec
	Backends        bool // with Needs.Forwarding: Endpoints are all that the slice has, and the service is to have Backends
	// Trigger is the time of the change that led to this state of the slice, zero when it is not known
	// (annotation endpoints.kubernetes.io/last-change-trigger-time).
	Trigger time.Time
}

// PodSpec is what a source hands over of a Pod that runs.
type PodSpec struct {
	Namespace, Name string
	Addrs           []Addr
	Labels          map[string]string // with Needs.PodLabels
}

// Change tells a subscriber what a source's event changed.
type Change struct {
	Kind    Kind
	Service *Service  // the record after the change, for services and endpoint slices
	Trigger time.Time // SliceSpec.Trigger
	// ForwardingOnly tells that names are as they were: the change is for who forwards virtual IPs.
	ForwardingOnly bool
}
