package manifest

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"

	"github.com/nameplane/nameplane/cluster"
)

const labelProxyName = "service.kubernetes.io/service-proxy-name"

// forwarding reads what virtual IPs need of a service; nodePorts are those of the ports that were kept.
func (r *reader) forwarding(s *service, in *corev1.Service, nodePorts []int32) {
	name, labelled := in.Labels[labelProxyName]
	_, headless := in.Labels[corev1.IsHeadlessService]
	text := cluster.ForwardingText{
		Type: string(in.Spec.Type), ProxyName: name, NoProxy: labelled && name == "" || headless,
		ExternalIPs: in.Spec.ExternalIPs, SourceRanges: in.Spec.LoadBalancerSourceRanges,
		NodePorts: nodePorts, HealthPort: in.Spec.HealthCheckNodePort,
		Affinity: string(in.Spec.SessionAffinity), ExternalPolicy: string(in.Spec.ExternalTrafficPolicy),
	}
	for _, ingress := range in.Status.LoadBalancer.Ingress {
		mode := ""
		if ingress.IPMode != nil {
			mode = string(*ingress.IPMode)
		}
		text.Ingress = append(text.Ingress, cluster.IngressText{IP: ingress.IP, Mode: mode})
	}
	if c := in.Spec.SessionAffinityConfig; c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil {
		text.AffinitySeconds = *c.ClientIP.TimeoutSeconds
	}
	if in.Spec.InternalTrafficPolicy != nil {
		text.InternalPolicy = string(*in.Spec.InternalTrafficPolicy)
	}
	for i, port := range in.Spec.Ports {
		if port.NodePort != 0 && text.Type != string(corev1.ServiceTypeNodePort) && text.Type != string(corev1.ServiceTypeLoadBalancer) {
			path := []any{"spec", "ports", i, "nodePort"}
			r.problem(path, "%s %d: only the types NodePort and LoadBalancer have one; it is left out", join(path), port.NodePort)
		}
	}
	var flaws []cluster.Flaw
	s.spec.Forwarding, flaws = text.Forwarding()
	for _, flaw := range flaws {
		r.problem(fieldPath(flaw.Field), "%s %q: cannot be read; it is left out", flaw.Field, flaw.Value)
	}
	if s.spec.Forwarding == nil {
		return
	}
	balanced, unasked := in.Spec.Type == corev1.ServiceTypeLoadBalancer, in.Spec.AllocateLoadBalancerNodePorts
	s.wantsNodePorts = in.Spec.Type == corev1.ServiceTypeNodePort || balanced && (unasked == nil || *unasked)
	s.wantsHealthPort = balanced && s.spec.Forwarding.ExternalLocal
}

// backend adds to an endpoint what virtual IPs need of it (KEP-1672: serving is as ready, where it is not said).
func backend(spec *cluster.EndpointSpec, e *discovery.Endpoint) {
	spec.Unserving = spec.Unready
	if serving := e.Conditions.Serving; serving != nil {
		spec.Unserving = !*serving
	}
	spec.Terminating = e.Conditions.Terminating != nil && *e.Conditions.Terminating
	spec.Place = &cluster.Place{}
	if e.NodeName != nil {
		spec.Place.Node = *e.NodeName
	}
	if e.Zone != nil {
		spec.Place.Zone = *e.Zone
	}
	if e.Hints == nil {
		return
	}
	for _, n := range e.Hints.ForNodes {
		spec.Place.ForNodes = append(spec.Place.ForNodes, n.Name)
	}
	for _, z := range e.Hints.ForZones {
		spec.Place.ForZones = append(spec.Place.ForZones, z.Name)
	}
}

// node reads a node: its zone is its pods', all else matters only of this process's own.
func (r *reader) node(in *corev1.Node) {
	n := &cluster.Node{Name: in.Name, Zone: in.Labels[corev1.LabelTopologyZone], Leaving: in.DeletionTimestamp != nil}
	if in.Name == r.needs.Node {
		n.Addrs = r.nodeAddrs(in.Status.Addresses)
	}
	for _, t := range in.Spec.Taints {
		n.Leaving = n.Leaving || t.Key == cluster.TaintLeaving
	}
	r.out.nodes = append(r.out.nodes, &node{object{at: r.place(), name: in.Name}, n})
}

func (r *reader) nodeAddrs(list []corev1.NodeAddress) []cluster.Addr {
	byType := map[corev1.NodeAddressType][]cluster.Addr{}
	for i, a := range list {
		if a.Type != corev1.NodeInternalIP && a.Type != corev1.NodeExternalIP {
			continue
		}
		addr, err := netip.ParseAddr(a.Address)
		if err != nil {
			path := []any{"status", "addresses", i, "address"}
			r.problem(path, "%s %q: not an IP address; it is left out", join(path), a.Address)
			continue
		}
		byType[a.Type] = append(byType[a.Type], cluster.AddrFrom(addr))
	}
	return cluster.PickNodeAddrs(byType[corev1.NodeInternalIP], byType[corev1.NodeExternalIP])
}
