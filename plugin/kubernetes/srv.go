package kubernetes

import (
	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/server/wire"
)

// serviceTarget appends service.namespace.svc.ZONE, the zone as the client spelled it.
func (l *lookup) serviceTarget(svc *cluster.Service) {
	l.Reply.Text(svc.Key())
	l.Reply.Text(svcLabel)
	l.Reply.Bytes(l.Query.Spelling(l.Left))
}

// clusterIPServices appends an SRV record for each port number, and the virtual IPs.
func (l *lookup) clusterIPServices(svc *cluster.Service, n *name, matching int) {
	if len(svc.ClusterIPs) == 0 {
		return
	}
	w := wire.Weight(matching * len(svc.ClusterIPs))
	var target wire.Ref
	for i, p := range svc.Ports {
		if !n.port.Matches(svc.Ports, i) || p.Number == 0 || n.port.Numbered(svc.Ports[:i], p.Number) {
			continue
		}
		target = l.Reply.OpenSRV(wire.QuestionName, l.k.ttl, w, p.Number)
		l.serviceTarget(svc)
		l.Reply.Close()
	}
	if target == 0 {
		return
	}
	l.Reply.Section(wire.Additional)
	for i := range svc.ClusterIPs {
		if a := &svc.ClusterIPs[i]; !repeated(svc.ClusterIPs[:i], a) {
			l.Reply.Address(target, a.Bytes(), l.k.ttl)
		}
	}
}
