package apiwatch

import (
	"cmp"
	"strconv"

	"github.com/nameplane/nameplane/cluster"
)

// readService is what matters of a Service.
func readService(object []byte, needs cluster.Needs) (spec cluster.ServiceSpec, meta metadata, flaws []flaw, err error) {
	s := serviceFields{needs: needs}
	m := message{rest: object}
	for m.next() {
		switch m.number {
		case 1:
			m.metadata(&meta)
		case 2:
			m.adopt(s.spec(m.inner()))
		case 3:
			if needs.External || needs.Forwarding {
				m.adopt(s.status(m.inner()))
			}
		}
	}
	spec.Namespace, spec.Name, spec.Ports, spec.ExternalName = meta.namespace, meta.name, s.ports, s.externalName
	spec.External = s.external()
	flaws = append(s.flaws, s.virtual.apply(&spec)...)
	if needs.Forwarding && spec.Type == cluster.ClusterIP {
		s.text.Type, s.text.ProxyName, s.text.NoProxy = s.virtual.kind, meta.proxy, meta.noProxy
		forwarding, more := s.text.Forwarding()
		spec.Forwarding = forwarding
		for _, f := range more {
			flaws = append(flaws, flaw{f.Field, f.Value})
		}
	}
	return spec, meta, flaws, m.err
}

// serviceFields are a Service's fields before they are understood: which of them count depends on others.
type serviceFields struct {
	needs        cluster.Needs
	virtual      virtualIPs
	externalName string
	ports        []cluster.Port
	hostnames    []string               // of the load balancer, by index of text.Ingress; empty where there is an address
	text         cluster.ForwardingText // with Needs.External its addresses, with Needs.Forwarding all of it
	flaws        []flaw
}

// spec reads a ServiceSpec.
func (s *serviceFields) spec(m message) error {
	for m.next() {
		switch m.number {
		case 1:
			port, nodePort := m.port(&s.flaws)
			s.ports = append(s.ports, port)
			if s.needs.Forwarding {
				s.text.NodePorts = append(s.text.NodePorts, nodePort)
			}
		case 3:
			s.virtual.single = string(m.bytes)
		case 4:
			s.virtual.kind = string(m.bytes)
		case 5:
			if s.needs.External || s.needs.Forwarding {
				s.text.ExternalIPs = append(s.text.ExternalIPs, string(m.bytes))
			}
		case 10:
			s.externalName = string(m.bytes)
		case 18:
			s.virtual.all = append(s.virtual.all, string(m.bytes))
		default:
			if s.needs.Forwarding {
				s.forwarding(&m)
			}
		}
	}
	return m.err
}

// forwarding reads the current field of a ServiceSpec, if it is one that only virtual IPs need.
func (s *serviceFields) forwarding(m *message) {
	switch m.number {
	case 7:
		s.text.Affinity = string(m.bytes)
	case 9:
		s.text.SourceRanges = append(s.text.SourceRanges, string(m.bytes))
	case 11:
		s.text.ExternalPolicy = string(m.bytes)
	case 12:
		s.text.HealthPort = int32(m.value)
	case 14:
		config := m.inner()
		for config.next() {
			if config.number != 1 { // clientIP
				continue
			}
			in := config.inner()
			for in.next() {
				if in.number == 1 {
					s.text.AffinitySeconds = int32(in.value)
				}
			}
			config.adopt(in.err)
		}
		m.adopt(config.err)
	case 22:
		s.text.InternalPolicy = string(m.bytes)
	}
}

// status reads a ServiceStatus: by what the service's load balancer is known.
func (s *serviceFields) status(m message) error {
	for m.next() {
		if m.number != 1 { // loadBalancer
			continue
		}
		in := m.inner()
		for in.next() {
			if in.number == 1 {
				ingress, hostname := in.ingress()
				s.text.Ingress, s.hostnames = append(s.text.Ingress, ingress), append(s.hostnames, hostname)
			}
		}
		m.adopt(in.err)
	}
	return m.err
}

// ingress reads the current field as a LoadBalancerIngress.
func (m *message) ingress() (ingress cluster.IngressText, hostname string) {
	in := m.inner()
	for in.next() {
		switch in.number {
		case 1:
			ingress.IP = string(in.bytes)
		case 2:
			hostname = string(in.bytes)
		case 3:
			ingress.Mode = string(in.bytes)
		}
	}
	m.adopt(in.err)
	return ingress, hostname
}

// external is by what the service is known outside of the cluster: for a load balancer, by its address or, without one,
// its host name.
func (s *serviceFields) external() (all []cluster.External) {
	if !s.needs.External {
		return nil
	}
	for _, text := range s.text.ExternalIPs {
		all = append(all, cluster.ParseExternal(text))
	}
	for i, in := range s.text.Ingress {
		if text := cmp.Or(in.IP, s.hostnames[i]); text != "" {
			all = append(all, cluster.ParseExternal(text))
		}
	}
	return all
}

// virtualIPs are the fields of a ServiceSpec that tell its type and addresses.
type virtualIPs struct {
	kind   string   // type
	single string   // clusterIP
	all    []string // clusterIPs
}

func (v *virtualIPs) apply(spec *cluster.ServiceSpec) (flaws []flaw) {
	addresses := v.all
	if len(addresses) == 0 && v.single != "" {
		addresses = []string{v.single}
	}
	switch {
	case v.kind == "ExternalName":
		spec.Type = cluster.ExternalName
		return nil
	case len(addresses) > 0 && addresses[0] == "None":
		spec.Type, spec.ExternalName = cluster.Headless, ""
		return nil
	}
	spec.Type, spec.ExternalName = cluster.ClusterIP, ""
	for _, text := range addresses {
		addr, err := cluster.ParseAddr(text)
		if err != nil {
			flaws = append(flaws, flaw{"cluster IP", text})
			continue
		}
		spec.ClusterIPs = append(spec.ClusterIPs, addr)
	}
	return flaws
}

// port reads the current field as a ServicePort or an EndpointPort: what both have has the same numbers.
func (m *message) port(flaws *[]flaw) (p cluster.Port, nodePort int32) {
	in := m.inner()
	for in.next() {
		switch in.number {
		case 1:
			p.Name = string(in.bytes)
		case 2:
			p.Protocol = cluster.ParseProtocol(string(in.bytes))
		case 3:
			if in.value > 65535 {
				*flaws = append(*flaws, flaw{"port", strconv.Itoa(int(int32(in.value)))})
				break
			}
			p.Number = uint16(in.value)
		case 5:
			nodePort = int32(in.value)
		}
	}
	m.adopt(in.err)
	return p, nodePort
}
