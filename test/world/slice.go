package world

import (
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// backend is one thing behind a service: a pod or a machine, with an address in one family or both.
type backend struct {
	v4, v6     netip.Addr // at least one is valid
	hostname   string
	pod        *corev1.ObjectReference
	node, zone string
}

// backendPlan says what stands behind a service.
type backendPlan int

const (
	anyBackends backendPlan = iota
	noBackends
	unreadyBackends
	namedBackends // with hostnames, some of them shared
	manyBackends  // more than fit into a small reply
)

// makeSlices makes the endpoints of a service and distributes them over slices: one to three of each family.
func (g *generator) makeSlices(s *corev1.Service, plan backendPlan) {
	behind := g.behind(s, plan)
	n := 0
	for _, family := range s.Spec.IPFamilies {
		parts := make([][]discoveryv1.Endpoint, g.between(1, 3))
		for _, b := range behind {
			addr := b.v4
			if family == corev1.IPv6Protocol {
				addr = b.v6
			}
			if !addr.IsValid() {
				continue
			}
			part := g.rand.IntN(len(parts))
			parts[part] = append(parts[part], g.endpoint(s, b, addr, plan))
			// While the controller moves an endpoint, two slices have it.
			if g.chance(5) {
				part = g.rand.IntN(len(parts))
				parts[part] = append(parts[part], g.endpoint(s, b, addr, plan))
			}
		}
		for _, endpoints := range parts {
			g.addSlice(s, n, discoveryv1.AddressType(family), endpoints)
			n++
		}
	}
	if g.chance(8) {
		g.addSlice(s, n, discoveryv1.AddressTypeFQDN, []discoveryv1.Endpoint{{Addresses: []string{"backend.example.com"}}})
	}
}

// behind draws the backends of a service: pods of its namespace, machines, and what other services have, too.
func (g *generator) behind(s *corev1.Service, plan backendPlan) []backend {
	count := g.between(1, 6)
	switch plan {
	case noBackends:
		return nil
	case namedBackends:
		count = g.between(5, 10)
	case manyBackends:
		count = g.between(25, 140)
	}
	var behind []backend
	for range count {
		var b backend
		switch n := g.rand.IntN(100); {
		case n < 40:
			b = g.podBackend(s.Namespace)
		case n < 55 && len(g.backends) > 0:
			b = pick(g.rand, g.backends)
		}
		if !b.v4.IsValid() && !b.v6.IsValid() {
			b = g.machine()
		}
		if plan == namedBackends && g.chance(80) || plan == anyBackends && g.chance(8) {
			b.hostname = g.hostname()
			if last := len(behind) - 1; last >= 0 && g.chance(40) {
				b.hostname = behind[last].hostname // one name for several endpoints, as the API allows
			}
		}
		behind = append(behind, b)
	}
	g.backends = append(g.backends, behind...)
	return behind
}

// podBackend is a pod of the namespace, and no backend at all if the pod drawn has no address.
func (g *generator) podBackend(namespace string) backend {
	var pods []*corev1.Pod
	for _, p := range g.w.pods {
		if p.Namespace == namespace {
			pods = append(pods, p)
		}
	}
	p := pick(g.rand, pods)
	b := backend{node: p.Spec.NodeName, zone: "zone-" + strings.TrimPrefix(p.Spec.NodeName, "node-")}
	b.pod = &corev1.ObjectReference{Kind: "Pod", Namespace: namespace, Name: p.Name}
	for _, ip := range p.Status.PodIPs {
		if a := netip.MustParseAddr(ip.IP); a.Is4() {
			b.v4 = a
		} else {
			b.v6 = a
		}
	}
	return b
}

// machine is a backend outside the cluster's pods.
func (g *generator) machine() backend {
	b := backend{zone: pick(g.rand, []string{"", "zone-a", "zone-b", "zone-c"})}
	if !g.chance(15) {
		b.v4 = g.endpointIP(false)
	}
	if !b.v4.IsValid() || g.chance(70) {
		b.v6 = g.endpointIP(true)
	}
	if g.chance(15) {
		b.pod = &corev1.ObjectReference{Kind: pick(g.rand, []string{"Pod", "Node"}), Name: g.podName()}
	}
	return b
}

func (g *generator) endpoint(s *corev1.Service, b backend, addr netip.Addr, plan backendPlan) discoveryv1.Endpoint {
	e := discoveryv1.Endpoint{Addresses: []string{addr.String()}, TargetRef: b.pod}
	if b.hostname != "" {
		e.Hostname = &b.hostname
	}
	if b.node != "" {
		e.NodeName = &b.node
	}
	if b.zone != "" {
		e.Zone = &b.zone
		e.Hints = &discoveryv1.EndpointHints{ForZones: []discoveryv1.ForZone{{Name: b.zone}}}
	}
	// The API allows several addresses, although the controller has never made any such endpoint.
	if g.chance(4) {
		e.Addresses = append(e.Addresses, g.endpointIP(addr.Is6()).String())
	}
	// An endpoint may have the address of a service: a name for it comes from the service.
	if g.chance(1) && addr.Is4() && isClusterIP(g.w.services[0]) {
		e.Addresses[0] = g.w.services[0].Spec.ClusterIP
	}
	e.Conditions = g.conditions(plan, s.Spec.PublishNotReadyAddresses)
	return e
}

// conditions draws an endpoint's state: ready, not, unknown (which counts as ready), or on its way out.
func (g *generator) conditions(plan backendPlan, publish bool) discoveryv1.EndpointConditions {
	yes, no := true, false
	ready := discoveryv1.EndpointConditions{Ready: &yes, Serving: &yes, Terminating: &no}
	unready := discoveryv1.EndpointConditions{Ready: &no, Serving: &no, Terminating: &no}
	leaving := discoveryv1.EndpointConditions{Ready: &no, Serving: &yes, Terminating: &yes}
	n := g.rand.IntN(100)
	switch {
	case publish && n < 50:
		return discoveryv1.EndpointConditions{Ready: &yes, Serving: &no, Terminating: &no}
	case publish || plan == namedBackends && n < 70 || plan == manyBackends && n < 90:
		return ready
	case plan == unreadyBackends && n < 60:
		return unready
	case plan == unreadyBackends:
		return leaving
	case n < 60:
		return ready
	case n < 70:
		return discoveryv1.EndpointConditions{}
	case n < 75:
		return discoveryv1.EndpointConditions{Serving: &yes, Terminating: &yes}
	case n < 85:
		return leaving
	default:
		return unready
	}
}

func (g *generator) addSlice(s *corev1.Service, n int, family discoveryv1.AddressType, endpoints []discoveryv1.Endpoint) {
	name := s.Name
	if len(name) > 50 {
		name = name[:50]
	}
	slice := &discoveryv1.EndpointSlice{
		TypeMeta: metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Namespace,
			Name:      g.fresh("slice/"+s.Namespace, func() string { return fmt.Sprintf("%s-x%x%d", name, g.rand.IntN(1<<16), n) }),
			Labels:    map[string]string{discoveryv1.LabelServiceName: s.Name, "tier": s.Labels["tier"]},
		},
		AddressType: family,
		Endpoints:   endpoints,
		Ports:       g.slicePorts(s.Spec.Ports),
	}
	if isHeadless(s) {
		slice.Labels[corev1.IsHeadlessService] = ""
	}
	g.w.slices = append(g.w.slices, slice)
}

// slicePorts are the service's ports as the backends have them. Now and then a slice differs from its siblings, as it
// does while pods with other ports are rolled out, and when somebody has written it by hand.
func (g *generator) slicePorts(of []corev1.ServicePort) []discoveryv1.EndpointPort {
	var ports []discoveryv1.EndpointPort
	for _, p := range of {
		number, protocol, name := p.TargetPort.IntVal, p.Protocol, p.Name
		ports = append(ports, discoveryv1.EndpointPort{Name: &name, Port: &number, Protocol: &protocol})
	}
	switch n := g.rand.IntN(100); {
	case n < 6 && len(ports) > 0:
		number := int32(g.between(1024, 65535))
		ports[0].Port = &number
	case n < 10 && len(ports) > 1:
		ports = ports[:1]
	case n < 14:
		number, protocol, name := int32(9999), corev1.ProtocolTCP, "only-here"
		ports = append(ports, discoveryv1.EndpointPort{Name: &name, Port: &number, Protocol: &protocol})
	case n < 16 && len(ports) > 0:
		ports[0].Port = nil // any port
	case n < 18:
		return nil
	}
	return ports
}
