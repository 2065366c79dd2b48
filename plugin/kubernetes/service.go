package kubernetes

import (
	"strings"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
)

// serviceAnswer answers a service's name and all names below it.
func (l *lookup) serviceAnswer(n *name) (exists bool) {
	svc := n.svc
	if l.k.ignoreEmpty && svc.Type == cluster.ClusterIP && len(l.k.endpoints(svc).List) == 0 {
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

// endpoints are those of a service, unless the directive is to know none.
func (k *Kubernetes) endpoints(svc *cluster.Service) *cluster.Endpoints {
	if k.noEndpoints {
		return noEndpoints
	}
	return svc.Endpoints
}

var noEndpoints = &cluster.Endpoints{}

// clusterIPAnswer is for a service with virtual IPs. Its endpoints don't matter.
func (l *lookup) clusterIPAnswer(svc *cluster.Service, n *name) (exists bool) {
	matching := 0
	for i := range max(1, len(svc.Ports)) {
		if n.matches(svc.Ports, i) {
			matching++
		}
	}
	if matching == 0 {
		return false
	}
	switch l.q.Type {
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
			l.r.Address(questionName, a.Bytes(), l.k.ttl)
		}
	}
}

// wants tells whether an address is of the family that is asked for.
func (l *lookup) wants(a *cluster.Addr) bool { return a.Is4() == (l.q.Type == dns.TypeA) }

func repeated(before []cluster.Addr, a *cluster.Addr) bool {
	for i := range before {
		if before[i] == *a {
			return true
		}
	}
	return false
}

// matches tells whether port i is one that the name asks for. No ports at all count as one without name and protocol,
// which only the bare name asks for.
func (n *name) matches(ports []cluster.Port, i int) bool {
	if len(ports) == 0 {
		return len(n.port) == 0 && len(n.protocol) == 0
	}
	p := &ports[i]
	return (len(n.port) == 0 || equalFold(p.Name, n.port)) &&
		(len(n.protocol) == 0 || p.Protocol.String() == string(n.protocol))
}

// equalFold compares an object's name with a label, which is in lower case.
func equalFold(name string, label []byte) bool {
	return name == string(label) || len(name) == len(label) && strings.EqualFold(name, string(label))
}

// endpointAnswer is for a headless service, for one endpoint of any service, and for zone-scoped names.
func (l *lookup) endpointAnswer(n *name) (exists bool) {
	s := selectEndpoints(l, n, l.k.endpoints(n.svc))
	if n.zone.prefer && !s.any() {
		s.within = nil
	}
	if !s.any() {
		return n.zone.labels != nil // that a zone has no endpoints is no reason for the name not to exist
	}
	switch l.q.Type {
	case dns.TypeA, dns.TypeAAAA:
		s.addresses()
	case dns.TypeSRV:
		s.services()
	}
	return true
}
