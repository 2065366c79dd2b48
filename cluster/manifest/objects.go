package manifest

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/cluster/custom"
)

// objects are what one file holds, trimmed to what counts.
type objects struct {
	services   []*service
	slices     []*endpointSlice
	pods       []*pod
	namespaces []*object
	nodes      []*node
	outsiders
	named    []string // namespaces that objects name
	problems []string // broken rules: what was left out, with file and line
}

// object is what all objects have.
type object struct {
	at              string // file:line
	namespace, name string
	labels          map[string]string
}

type service struct {
	object
	spec     cluster.ServiceSpec
	wantsIP  bool // a virtual IP has to be given
	families []corev1.IPFamily
	policy   corev1.IPFamilyPolicy
	selector map[string]string
	publish  bool // publishNotReadyAddresses
	targets  []intstr.IntOrString

	wantsNodePorts, wantsHealthPort bool // with Needs.Forwarding, where the manifest leaves them to the API server
}

type endpointSlice struct {
	object
	spec   cluster.SliceSpec
	legacy bool // of an Endpoints object
}

type pod struct {
	object
	addrs       []cluster.Addr
	running     bool // in no terminal phase
	ending      bool // it is being deleted
	ready       bool // its condition
	hostname    string
	subdomain   string
	node        string
	portsByName []namedPort
}

type namedPort struct {
	name     string
	protocol cluster.Protocol
	number   uint16
}

type node struct {
	object
	spec *cluster.Node
}

func (r *reader) namespace(n *corev1.Namespace) {
	if _, ok := cluster.ServiceKey(n.Name, "any"); !ok {
		r.problem([]any{"metadata", "name"}, "not a DNS label of 1 to 63 letters; the namespace is left out")
		return
	}
	labels := map[string]string{corev1.LabelMetadataName: n.Name} // the API server sets it
	for k, v := range n.Labels {
		labels[k] = v
	}
	r.out.namespaces = append(r.out.namespaces, &object{at: r.place(), name: n.Name, labels: labels})
}

func (r *reader) service(in *corev1.Service) {
	if _, ok := cluster.ServiceKey(in.Namespace, in.Name); !ok {
		r.problem([]any{"metadata", "name"}, "name and namespace have to be DNS labels of 1 to 63 letters; the service is left out")
		return
	}
	s := &service{
		object:   object{r.place(), in.Namespace, in.Name, in.Labels},
		spec:     cluster.ServiceSpec{Namespace: in.Namespace, Name: in.Name, ExternalName: in.Spec.ExternalName},
		families: in.Spec.IPFamilies,
		selector: in.Spec.Selector,
		publish:  in.Spec.PublishNotReadyAddresses,
	}
	if in.Spec.IPFamilyPolicy != nil {
		s.policy = *in.Spec.IPFamilyPolicy
	}
	if !r.serviceType(s, in) {
		return
	}
	if r.needs.External {
		s.spec.External = externals(in)
	}
	var nodePorts []int32
	for i, p := range in.Spec.Ports {
		number, ok := r.port(int(p.Port), p.Protocol, "spec", "ports", i)
		if !ok {
			continue
		}
		s.spec.Ports = append(s.spec.Ports, cluster.Port{Name: p.Name, Protocol: cluster.ParseProtocol(string(p.Protocol)), Number: number})
		target := p.TargetPort
		if target == (intstr.IntOrString{}) { // the API's default
			target = intstr.FromInt32(p.Port)
		}
		s.targets = append(s.targets, target)
		nodePorts = append(nodePorts, p.NodePort)
	}
	if r.needs.Forwarding && s.spec.Type == cluster.ClusterIP {
		r.forwarding(s, in, nodePorts)
	}
	r.out.services = append(r.out.services, s)
}

// externals are by what a service is known outside of the cluster.
func externals(in *corev1.Service) (all []cluster.External) {
	for _, text := range in.Spec.ExternalIPs {
		all = append(all, cluster.ParseExternal(text))
	}
	for _, ingress := range in.Status.LoadBalancer.Ingress {
		if text := cmp.Or(ingress.IP, ingress.Hostname); text != "" {
			all = append(all, cluster.ParseExternal(text))
		}
	}
	return all
}

// serviceType fills in the type and what depends on it; false when the service has to be left out.
func (r *reader) serviceType(s *service, in *corev1.Service) bool {
	switch in.Spec.Type {
	case corev1.ServiceTypeExternalName:
		s.spec.Type = cluster.ExternalName
		if in.Spec.ExternalName == "" {
			r.problem([]any{"spec"}, "type ExternalName without spec.externalName; the service is left out")
			return false
		}
		return true
	case "", corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer:
		s.spec.Type, s.spec.ExternalName = cluster.ClusterIP, ""
	default:
		r.problem([]any{"spec", "type"}, "spec.type %q: not one of ClusterIP, NodePort, LoadBalancer, ExternalName; the service is left out", in.Spec.Type)
		return false
	}
	texts, path := in.Spec.ClusterIPs, []any{"spec", "clusterIPs"}
	if len(texts) == 0 && in.Spec.ClusterIP != "" {
		texts, path = []string{in.Spec.ClusterIP}, []any{"spec", "clusterIP"}
	} else if in.Spec.ClusterIP != "" && in.Spec.ClusterIP != texts[0] {
		r.problem([]any{"spec", "clusterIP"}, "spec.clusterIP %q is not the first of spec.clusterIPs; those count", in.Spec.ClusterIP)
	}
	if slices.Equal(texts, []string{corev1.ClusterIPNone}) {
		s.spec.Type = cluster.Headless
		return true
	}
	for _, text := range texts {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			r.problem(path, "%s %q: not an IP address; the service is left out", join(path), text)
			return false
		}
		s.spec.ClusterIPs = append(s.spec.ClusterIPs, cluster.AddrFrom(addr))
	}
	s.wantsIP = true
	return true
}

// port checks a port's number and protocol.
func (r *reader) port(number int, protocol corev1.Protocol, path ...any) (uint16, bool) {
	switch {
	case number < 1 || number > 65535:
		r.problem(path, "%s: port %d is not between 1 and 65535; it is left out", join(path), number)
	case protocol != "" && protocol != corev1.ProtocolTCP && protocol != corev1.ProtocolUDP && protocol != corev1.ProtocolSCTP:
		r.problem(path, "%s: protocol %q is not one of TCP, UDP, SCTP; the port is left out", join(path), protocol)
	default:
		return uint16(number), true
	}
	return 0, false
}

func (r *reader) slice(in *discovery.EndpointSlice) {
	name, imported := in.Labels[discovery.LabelServiceName], r.imported(in)
	if _, ok := cluster.ServiceKey(in.Namespace, name); !ok && imported == "" {
		r.problem([]any{"metadata", "labels"}, "label %s %q: not the name of a service; the slice is left out", discovery.LabelServiceName, name)
		return
	}
	if in.AddressType == discovery.AddressTypeFQDN {
		return // names are not addresses: neither an answer nor a rule can have them
	}
	s := &endpointSlice{object: object{r.place(), in.Namespace, in.Name, in.Labels}}
	s.spec = cluster.SliceSpec{
		Namespace: in.Namespace, Name: in.Name, Service: name, Backends: r.needs.Forwarding,
		Import: imported, Cluster: in.Labels[custom.LabelCluster],
	}
	for i, p := range in.Ports {
		port := cluster.Port{Protocol: cluster.TCP}
		if p.Name != nil {
			port.Name = *p.Name
		}
		var protocol corev1.Protocol
		if p.Protocol != nil {
			protocol = *p.Protocol
			port.Protocol = cluster.ParseProtocol(string(protocol))
		}
		if p.Port != nil {
			number, ok := r.port(int(*p.Port), protocol, "ports", i)
			if !ok {
				continue
			}
			port.Number = number
		}
		s.spec.Ports = append(s.spec.Ports, port)
	}
	for i := range in.Endpoints {
		r.endpoint(s, in.AddressType, &in.Endpoints[i], i)
	}
	r.out.slices = append(r.out.slices, s)
}

// imported is the service of other clusters that a slice belongs to; empty where that is none, or nobody asks for it.
func (r *reader) imported(in *discovery.EndpointSlice) string {
	if !r.needs.Imports {
		return ""
	}
	return in.Labels[custom.LabelService]
}

// endpoint adds the addresses of an endpoint that is ready; one that does not say is. Virtual IPs need the others, too.
func (r *reader) endpoint(s *endpointSlice, family discovery.AddressType, e *discovery.Endpoint, i int) {
	spec := cluster.EndpointSpec{Unready: e.Conditions.Ready != nil && !*e.Conditions.Ready}
	if spec.Unready && !r.needs.Forwarding {
		return
	}
	if e.Hostname != nil {
		spec.Name = *e.Hostname
	}
	if r.needs.PodNames && spec.Name == "" && e.TargetRef != nil {
		spec.Name, spec.PodName = e.TargetRef.Name, e.TargetRef.Name != ""
	}
	if r.needs.Zones && e.Zone != nil {
		spec.Zone = *e.Zone
	}
	if r.needs.Forwarding {
		backend(&spec, e)
	}
	for j, text := range e.Addresses {
		path := []any{"endpoints", i, "addresses", j}
		addr, err := netip.ParseAddr(text)
		switch {
		case err != nil:
			r.problem(path, "%s %q: not an IP address; it is left out", join(path), text)
		case addr.Unmap().Is4() != (family != discovery.AddressTypeIPv6):
			r.problem(path, "%s %q: not of the slice's addressType %s; it is left out", join(path), text, family)
		default:
			spec.Addr, spec.Further = cluster.AddrFrom(addr), j > 0 && r.needs.Forwarding
			s.spec.Endpoints = append(s.spec.Endpoints, spec)
		}
	}
}

// legacyEndpoints turns each subset, and in it each family, into a slice, as the mirroring controller does.
//
//lint:ignore SA1019 that they are deprecated does not keep them out of people's folders
func (r *reader) legacyEndpoints(in *corev1.Endpoints) {
	for i, subset := range in.Subsets {
		out := &discovery.EndpointSlice{ObjectMeta: in.ObjectMeta}
		for _, p := range subset.Ports {
			out.Ports = append(out.Ports, discovery.EndpointPort{Name: &p.Name, Port: &p.Port, Protocol: &p.Protocol})
		}
		byFamily := map[discovery.AddressType][]discovery.Endpoint{}
		r.legacyAddresses(byFamily, subset.Addresses, true, "subsets", i, "addresses")
		if r.needs.Forwarding {
			r.legacyAddresses(byFamily, subset.NotReadyAddresses, false, "subsets", i, "notReadyAddresses")
		}
		for _, family := range []discovery.AddressType{discovery.AddressTypeIPv4, discovery.AddressTypeIPv6} {
			slice := out.DeepCopy()
			slice.AddressType, slice.Endpoints = family, byFamily[family]
			r.legacySlice(slice, i)
		}
	}
}

func (r *reader) legacyAddresses(byFamily map[discovery.AddressType][]discovery.Endpoint, list []corev1.EndpointAddress, ready bool, path ...any) {
	for _, a := range list {
		addr, err := netip.ParseAddr(a.IP)
		if err != nil {
			r.problem(path, "%s %q: not an IP address; it is left out", join(path), a.IP)
			continue
		}
		family := discovery.AddressTypeIPv4
		if !addr.Unmap().Is4() {
			family = discovery.AddressTypeIPv6
		}
		e := discovery.Endpoint{Addresses: []string{a.IP}, TargetRef: a.TargetRef, NodeName: a.NodeName}
		e.Conditions.Ready = &ready
		if a.Hostname != "" {
			e.Hostname = &a.Hostname
		}
		byFamily[family] = append(byFamily[family], e)
	}
}

func (r *reader) legacySlice(slice *discovery.EndpointSlice, subset int) {
	if len(slice.Endpoints) == 0 {
		return
	}
	labels := map[string]string{discovery.LabelServiceName: slice.Name}
	for k, v := range slice.Labels {
		labels[k] = v
	}
	slice.Labels = labels
	slice.Name += "/" + string(slice.AddressType) + "/" + string(rune('0'+subset%10))
	before := len(r.out.slices)
	r.slice(slice)
	for _, s := range r.out.slices[before:] {
		s.legacy = true
	}
}

func (r *reader) pod(in *corev1.Pod) {
	p := &pod{
		object:    object{r.place(), in.Namespace, in.Name, in.Labels},
		running:   in.Status.Phase != corev1.PodSucceeded && in.Status.Phase != corev1.PodFailed,
		ending:    in.DeletionTimestamp != nil,
		ready:     isReady(&in.Status),
		hostname:  in.Spec.Hostname,
		subdomain: in.Spec.Subdomain,
		node:      in.Spec.NodeName,
	}
	texts := make([]string, 0, 2)
	for _, ip := range in.Status.PodIPs {
		texts = append(texts, ip.IP)
	}
	if len(texts) == 0 && in.Status.PodIP != "" {
		texts = append(texts, in.Status.PodIP)
	}
	for _, text := range texts {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			r.problem([]any{"status"}, "status.podIP %q: not an IP address; it is left out", text)
			continue
		}
		p.addrs = append(p.addrs, cluster.AddrFrom(addr))
	}
	containers := slices.Clone(in.Spec.Containers)
	for _, c := range in.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways { // a sidecar
			containers = append(containers, c)
		}
	}
	for _, c := range containers {
		for _, port := range c.Ports {
			if port.Name != "" && port.ContainerPort > 0 && port.ContainerPort <= 65535 {
				p.portsByName = append(p.portsByName, namedPort{port.Name, cluster.ParseProtocol(string(port.Protocol)), uint16(port.ContainerPort)})
			}
		}
	}
	r.out.pods = append(r.out.pods, p)
}

// isReady goes by the condition Ready. A status without any condition is a hand-written one, which says by its
// address that the pod is there.
func isReady(status *corev1.PodStatus) bool {
	for _, c := range status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return len(status.Conditions) == 0
}
