package world

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// families lists the address families of a service, its primary one first.
type families []corev1.IPFamily

var (
	onlyV4  = families{corev1.IPv4Protocol}
	onlyV6  = families{corev1.IPv6Protocol}
	v4First = families{corev1.IPv4Protocol, corev1.IPv6Protocol}
	v6First = families{corev1.IPv6Protocol, corev1.IPv4Protocol}
)

// shape is a kind of service that every world has in every second namespace or so.
type shape struct {
	families families
	kind     corev1.ServiceType // ClusterIP when empty
	headless bool
	selector bool
	ports    portPlan
	backends backendPlan
	// publish asks for addresses that are not ready. The slice controller heeds it by calling them ready.
	publish bool
}

// portPlan says which ports a service has.
type portPlan int

const (
	anyPorts    portPlan = iota
	noPorts              // headless only
	unnamedPort          // one without a name
	allPorts             // one of each protocol, and one name shared by none
)

var shapes = []shape{
	{families: onlyV4, selector: true},
	{families: onlyV4},
	{families: onlyV4, ports: unnamedPort},
	{families: onlyV4, backends: noBackends, selector: true},
	{families: onlyV4, backends: unreadyBackends, selector: true},
	{families: onlyV4, ports: allPorts, selector: true},
	{families: onlyV6, selector: true},
	{families: v4First, selector: true},
	{families: v6First, ports: unnamedPort},
	{families: v4First, kind: corev1.ServiceTypeNodePort},
	{families: v4First, kind: corev1.ServiceTypeLoadBalancer, selector: true},
	{families: onlyV4, headless: true, selector: true},
	{families: onlyV4, headless: true},
	{families: onlyV4, headless: true, ports: noPorts, selector: true},
	{families: onlyV4, headless: true, ports: unnamedPort},
	{families: onlyV4, headless: true, backends: namedBackends},
	{families: v4First, headless: true, backends: namedBackends, ports: allPorts, selector: true},
	{families: v6First, headless: true},
	{families: onlyV6, headless: true, backends: namedBackends},
	{families: v4First, headless: true, backends: noBackends},
	{families: onlyV4, headless: true, backends: unreadyBackends, selector: true},
	{families: v4First, headless: true, backends: unreadyBackends, selector: true, publish: true},
	{families: v4First, headless: true, backends: manyBackends},
}

// makeServices deals the shapes out in turn, so that every world has all of them, some of each more than once.
func (g *generator) makeServices() {
	next := 0
	for _, ns := range g.w.namespaces {
		for range g.between(8, 13) {
			s := shapes[next%len(shapes)]
			next++
			g.makeService(ns.Name, g.fresh("service/"+ns.Name, g.serviceName), s)
		}
		for range g.between(1, 4) {
			g.planAlias(ns.Name)
		}
	}
}

func (g *generator) makeService(namespace, name string, s shape) {
	service := newService(namespace, name)
	service.Labels = map[string]string{"tier": pick(g.rand, tiers)}
	spec := &service.Spec
	spec.Type = s.kind
	if spec.Type == "" {
		spec.Type = corev1.ServiceTypeClusterIP
	}
	policy := corev1.IPFamilyPolicySingleStack
	if len(s.families) > 1 {
		policy = corev1.IPFamilyPolicyRequireDualStack
	}
	spec.IPFamilies, spec.IPFamilyPolicy = s.families, &policy
	spec.PublishNotReadyAddresses = s.publish
	if s.selector {
		spec.Selector = map[string]string{"app": pick(g.rand, words)}
	}
	spec.ClusterIPs = []string{corev1.ClusterIPNone}
	if !s.headless {
		spec.ClusterIPs = nil
		for _, f := range s.families {
			spec.ClusterIPs = append(spec.ClusterIPs, g.serviceIP(f == corev1.IPv6Protocol))
		}
	}
	spec.ClusterIP = spec.ClusterIPs[0]
	spec.Ports = g.ports(s.ports)
	g.expose(service)
	g.w.services = append(g.w.services, service)
	g.makeSlices(service, s.backends)
}

// ports draws the ports of a service. Where there are several each needs a name.
func (g *generator) ports(plan portPlan) []corev1.ServicePort {
	protocols := []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
	number := int32(g.between(1, 9000))
	target := func() intstr.IntOrString { return intstr.FromInt32(int32(g.between(1024, 65535))) }
	switch plan {
	case noPorts:
		return nil
	case unnamedPort:
		return []corev1.ServicePort{{Protocol: pick(g.rand, protocols), Port: number, TargetPort: target()}}
	case allPorts:
		var ports []corev1.ServicePort
		for i, p := range protocols {
			ports = append(ports, corev1.ServicePort{Name: portNames[i], Protocol: p, Port: number, TargetPort: target()})
		}
		return append(ports, corev1.ServicePort{Name: "extra", Protocol: corev1.ProtocolTCP, Port: number + 1, TargetPort: target()})
	}
	names := g.rand.Perm(len(portNames))
	var ports []corev1.ServicePort
	for i := range g.between(1, 3) {
		protocol := corev1.ProtocolTCP
		if g.chance(25) {
			protocol = pick(g.rand, protocols)
		}
		ports = append(ports, corev1.ServicePort{Name: portNames[names[i]], Protocol: protocol, Port: number + int32(i), TargetPort: target()})
	}
	return ports
}

// expose gives a service what its type has beside ClusterIPs: node ports, external addresses, an ingress.
func (g *generator) expose(s *corev1.Service) {
	if s.Spec.Type == corev1.ServiceTypeClusterIP {
		return
	}
	for i := range s.Spec.Ports {
		g.nodePorts++
		s.Spec.Ports[i].NodePort = int32(30000 + g.nodePorts)
	}
	if g.chance(50) {
		s.Spec.ExternalIPs = []string{fmt.Sprintf("203.0.113.%d", g.between(1, 254))}
	}
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer {
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: fmt.Sprintf("203.0.113.%d", g.between(1, 254))}}
		if g.chance(30) {
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{Hostname: "balancer.example.com"}}
		}
	}
}

// makeDNSService makes the service that every cluster has: its own DNS.
func (g *generator) makeDNSService() {
	s := newService(metav1.NamespaceSystem, "kube-dns")
	g.used["service/"+metav1.NamespaceSystem+"/kube-dns"] = true
	policy := corev1.IPFamilyPolicySingleStack
	s.Spec = corev1.ServiceSpec{
		Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.96.0.10", ClusterIPs: []string{"10.96.0.10"},
		IPFamilies: onlyV4, IPFamilyPolicy: &policy, Selector: map[string]string{"k8s-app": "kube-dns"},
		Ports: []corev1.ServicePort{
			{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53, TargetPort: intstr.FromInt32(53)},
			{Name: "dns-tcp", Protocol: corev1.ProtocolTCP, Port: 53, TargetPort: intstr.FromInt32(53)},
			{Name: "metrics", Protocol: corev1.ProtocolTCP, Port: 9153, TargetPort: intstr.FromInt32(9153)},
		},
	}
	g.w.services = append(g.w.services, s)
	g.makeSlices(s, anyBackends)
}

func newService(namespace, name string) *corev1.Service {
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
	}
}
