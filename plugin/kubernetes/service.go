package kubernetes

import (
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/server/wire"
)

// serviceAnswer answers a service's name and all names below it.
func (l *lookup) serviceAnswer(n *name) (exists bool) {
	svc := n.svc
	if l.k.ignoreEmpty && svc.Type == cluster.ClusterIP && len(l.k.endpoints(svc, l.set).List) == 0 {
		return false
	}
	if svc.Type == cluster.Headless || n.endpoint != nil {
		return l.endpointAnswer(n)
	}
	if n.zone.labels != nil {
		return false
	}
	return l.clusterIPAnswer(svc, n)
}

// endpoints are those of a service, unless the directive is to know none. Imports have theirs all the same.
func (k *Kubernetes) endpoints(svc *cluster.Service, imported bool) *cluster.Endpoints {
	if k.noEndpoints && !imported {
		return noEndpoints
	}
	return svc.Endpoints
}

var noEndpoints = &cluster.Endpoints{}

// clusterIPAnswer is for a service with virtual IPs. Its endpoints don't matter.
func (l *lookup) clusterIPAnswer(svc *cluster.Service, n *name) (exists bool) {
	matching := n.port.Count(svc.Ports)
	if matching == 0 {
		return false
	}
	switch l.Query.Type {
	case dns.TypeA, dns.TypeAAAA:
		l.clusterIPs(svc)
	case dns.TypeSRV:
		l.clusterIPServices(svc, n, matching)
	}
	return true
}

// clusterIPs appends the virtual IPs of the family asked for.
func (l *lookup) clusterIPs(svc *cluster.Service) {
	for i := range svc.ClusterIPs {
		if a := &svc.ClusterIPs[i]; l.wants(a) && !repeated(svc.ClusterIPs[:i], a) {
			l.Reply.Address(wire.QuestionName, a.Bytes(), l.k.ttl)
		}
	}
}

// wants tells whether an address is of the family that is asked for.
func (l *lookup) wants(a *cluster.Addr) bool { return a.Is4() == (l.Query.Type == dns.TypeA) }

func repeated(before []cluster.Addr, a *cluster.Addr) bool {
	for i := range before {
		if before[i] == *a {
			return true
		}
	}
	return false
}

// endpointAnswer is for a headless service, for one endpoint of any service, and for zone-scoped names.
func (l *lookup) endpointAnswer(n *name) (exists bool) {
	s := selectEndpoints(l, n, l.k.endpoints(n.svc, l.set))
	if n.zone.prefer && !s.any() {
		s.within = nil
	}
	if !s.any() {
		return n.zone.labels != nil // that a zone has no endpoints is no reason for the name not to exist
	}
	switch l.Query.Type {
	case dns.TypeA, dns.TypeAAAA:
		s.addresses()
	case dns.TypeSRV:
		s.services()
	}
	return true
}
