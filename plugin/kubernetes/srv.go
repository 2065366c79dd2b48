package kubernetes

import (
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/server/wire"
)

// weight of each of n equal targets (RFC 2782): their share of 100, and at least 1.
func weight(n int) uint16 { return uint16(max(1, 100/n)) }

// openSRV begins an SRV record whose target, to follow, stands at the place returned. A target is not compressed
// (RFC 2782).
func (l *lookup) openSRV(weight, port uint16) wire.Ref {
	l.r.Open(questionName, dns.TypeSRV, l.k.ttl)
	l.r.Uint16(0)
	l.r.Uint16(weight)
	l.r.Uint16(port)
	return l.r.Here()
}

// serviceTarget appends service.namespace.svc.ZONE, the zone as the client spelled it.
func (l *lookup) serviceTarget(svc *cluster.Service) {
	l.r.Text(svc.Key())
	l.r.Text("\x03svc")
	l.r.Bytes(l.q.Spelling(l.left))
}

// clusterIPServices appends an SRV record for each port number, and the virtual IPs.
func (l *lookup) clusterIPServices(svc *cluster.Service, n *name, matching int) {
	w := weight(matching * max(1, len(svc.ClusterIPs)))
	var target wire.Ref
	for i, p := range svc.Ports {
		if !n.matches(svc.Ports, i) || p.Number == 0 || n.numbered(svc.Ports[:i], p.Number) {
			continue
		}
		target = l.openSRV(w, p.Number)
		l.serviceTarget(svc)
		l.r.Close()
	}
	if target == 0 {
		return
	}
	l.r.Section(wire.Additional)
	for i := range svc.ClusterIPs {
		if a := &svc.ClusterIPs[i]; !repeated(svc.ClusterIPs[:i], a) {
			l.r.Address(target, a.Bytes(), l.k.ttl)
		}
	}
}

// numbered tells whether one of the ports that the name asks for has this number.
func (n *name) numbered(ports []cluster.Port, number uint16) bool {
	for i := range ports {
		if ports[i].Number == number && n.matches(ports, i) {
			return true
		}
	}
	return false
}

// services appends an SRV record for each endpoint and port number, and the endpoints' addresses.
func (s *selection) services(count int) {
	w := weight(count)
	refs := s.scratch()
	for i := range s.among {
		if e := &s.among[i]; s.takes(e) {
			(*refs)[i] = s.endpointServices(i, e, w, *refs)
		}
	}
	s.r.Section(wire.Additional)
	for i, target := range *refs {
		if target != 0 && !s.addressed(i) {
			s.r.Address(target, s.among[i].Addr.Bytes(), s.k.ttl)
		}
	}
	s.k.refs.Put(refs)
}

// scratch is room for the place of each endpoint's target.
func (s *selection) scratch() *[]wire.Ref {
	refs, _ := s.k.refs.Get().(*[]wire.Ref)
	if refs == nil {
		refs = new([]wire.Ref)
	}
	if n := len(s.among); cap(*refs) < n {
		*refs = make([]wire.Ref, n)
	} else {
		*refs = (*refs)[:n]
		clear(*refs)
	}
	return refs
}

// endpointServices appends the SRV records of endpoint i that none before it had, and returns the place of its target;
// 0 when it has no port.
func (s *selection) endpointServices(i int, e *cluster.Endpoint, w uint16, refs []wire.Ref) (target wire.Ref) {
	twin := s.twin(i, e)
	if twin >= 0 {
		target = refs[twin]
	}
	ports := s.list.Ports[e.PortsSet]
	for j, p := range ports {
		if p.Number == 0 || !s.name.matches(ports, j) || s.name.numbered(ports[:j], p.Number) || s.twinHas(i, e, p.Number) {
			continue
		}
		at := s.openSRV(w, p.Number)
		s.endpointTarget(e)
		s.r.Close()
		if target == 0 {
			target = at
		}
	}
	return target
}

// endpointTarget appends endpoint.service.namespace.svc.ZONE.
func (s *selection) endpointTarget(e *cluster.Endpoint) {
	var text, labels [72]byte
	label := append(text[:0], s.list.Name(e, s.k.podNames)...)
	if len(label) == 0 {
		label = e.Addr.AppendDashed(label)
	}
	s.r.Bytes(wireLabels(labels[:0], label))
	s.serviceTarget(s.name.svc)
}

// wireLabels appends a text as labels in wire form: one, unless it is a pod's name with dots.
func wireLabels(b, text []byte) []byte {
	for start, i := 0, 0; i <= len(text); i++ {
		if i == len(text) || text[i] == '.' {
			b = append(append(b, byte(i-start)), text[start:i]...)
			start = i + 1
		}
	}
	return b
}

// before calls visit for the endpoints before i that have the same label, and are asked for, until it returns true.
func (s *selection) before(i int, e *cluster.Endpoint, visit func(j int) bool) bool {
	if own := s.list.Name(e, s.k.podNames); own != "" {
		for _, index := range s.list.NamedAs(e) {
			j := int(index) - s.first
			if j >= 0 && j < i && s.list.Name(&s.among[j], s.k.podNames) == own && s.takes(&s.among[j]) && visit(j) {
				return true
			}
		}
		return false
	}
	for j := i - 1; j >= 0 && s.among[j].Addr == e.Addr; j-- {
		if b := &s.among[j]; s.list.Name(b, s.k.podNames) == "" && s.takes(b) && visit(j) {
			return true
		}
	}
	return false
}

// twin is the first endpoint before i with the same label, -1 when there is none.
func (s *selection) twin(i int, e *cluster.Endpoint) int {
	found := -1
	s.before(i, e, func(j int) bool {
		found = j
		return true
	})
	return found
}

// twinHas tells whether an endpoint before i with the same label has the port number too.
func (s *selection) twinHas(i int, e *cluster.Endpoint, number uint16) bool {
	return s.before(i, e, func(j int) bool {
		return s.name.numbered(s.list.Ports[s.among[j].PortsSet], number)
	})
}

// addressed tells whether an endpoint before i has the same label and the same address, and a port.
func (s *selection) addressed(i int) bool {
	e := &s.among[i]
	return s.before(i, e, func(j int) bool {
		b := &s.among[j]
		return b.Addr == e.Addr && s.hasNumber(b)
	})
}

func (s *selection) hasNumber(e *cluster.Endpoint) bool {
	ports := s.list.Ports[e.PortsSet]
	for j, p := range ports {
		if p.Number != 0 && s.name.matches(ports, j) {
			return true
		}
	}
	return false
}
