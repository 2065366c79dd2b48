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
	l.r.Text(svcLabel)
	l.r.Bytes(l.q.Spelling(l.left))
}

// clusterIPServices appends an SRV record for each port number, and the virtual IPs.
func (l *lookup) clusterIPServices(svc *cluster.Service, n *name, matching int) {
	if len(svc.ClusterIPs) == 0 {
		return
	}
	w := weight(matching * len(svc.ClusterIPs))
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
