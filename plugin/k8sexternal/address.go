package k8sexternal

import (
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/server/wire"
)

// addressAnswer is for a service that is known by addresses only. An endpoint's label in front of it makes no
// difference, as in CoreDNS.
func (l *lookup) addressAnswer(n *name) (exists bool) {
	svc := n.svc
	matching := n.port.Count(svc.Ports) * len(svc.External)
	if matching == 0 {
		return false
	}
	switch l.Query.Type {
	case dns.TypeA, dns.TypeAAAA:
		l.addresses(svc.External)
	case dns.TypeSRV:
		l.services(n, wire.Weight(matching))
	}
	return true
}

// addresses appends those of the family asked for.
func (l *lookup) addresses(external []cluster.External) {
	for i := range external {
		if a := &external[i].Addr; l.wants(a) && !repeated(external, i) {
			l.Reply.Address(wire.QuestionName, a.Bytes(), l.h.ttl)
		}
	}
}

// repeated tells whether one of the externals before the i-th is the same.
func repeated(externals []cluster.External, i int) bool {
	for _, before := range externals[:i] {
		if before == externals[i] {
			return true
		}
	}
	return false
}

// services appends an SRV record for each port number, and the addresses.
func (l *lookup) services(n *name, weight uint16) {
	var target wire.Ref
	svc := n.svc
	for i, p := range svc.Ports {
		if !n.port.Matches(svc.Ports, i) || n.port.Numbered(svc.Ports[:i], p.Number) {
			continue
		}
		target = l.Reply.OpenSRV(wire.QuestionName, l.h.ttl, weight, p.Number)
		l.Reply.Text(svc.Key())
		l.Reply.Text(string(l.Zone))
		l.Reply.Close()
	}
	if target == 0 {
		return
	}
	l.Reply.Section(wire.Additional)
	for i := range svc.External {
		if !repeated(svc.External, i) {
			l.Reply.Address(target, svc.External[i].Addr.Bytes(), l.h.ttl)
		}
	}
}

// reverseAnswer answers the reverse name of an external address: the names of the services that have it, in the first
// zone. A name that is too long is none.
func (l *lookup) reverseAnswer(addr cluster.Addr) (exists bool) {
	holders := l.h.cluster.Store().Holders(addr)
	for svc := holders.Next(); svc != nil; svc = holders.Next() {
		if !svc.HasExternal(addr) || !l.h.cluster.Shows(svc) {
			continue
		}
		exists = true
		if zone := l.h.zones[0]; l.Query.Type == dns.TypePTR && len(svc.Key())+len(zone) <= wire.MaxName {
			l.Reply.Open(wire.QuestionName, dns.TypePTR, l.h.ttl)
			l.Reply.Text(svc.Key())
			l.Reply.Text(string(zone))
			l.Reply.Close()
		}
	}
	return exists
}
