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
	matching := n.count(svc.Ports) * len(svc.External)
	if matching == 0 {
		return false
	}
	switch l.q.Type {
	case dns.TypeA, dns.TypeAAAA:
		for i := range svc.External {
			if a := &svc.External[i].Addr; l.wants(a) && !repeated(svc.External, i) {
				l.r.Address(wire.QuestionName, a.Bytes(), l.h.ttl)
			}
		}
	case dns.TypeSRV:
		l.services(n, weight(matching))
	}
	return true
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

// weight of each of n equal targets (RFC 2782): their share of 100, and at least 1.
func weight(n int) uint16 { return uint16(max(1, 100/n)) }

// services appends an SRV record for each port number, and the addresses.
func (l *lookup) services(n *name, weight uint16) {
	var target wire.Ref
	svc := n.svc
	for i, p := range svc.Ports {
		if !n.matches(svc.Ports, i) || n.numbered(svc.Ports[:i], p.Number) {
			continue
		}
		target = l.openSRV(weight, p.Number)
		l.r.Text(svc.Key())
		l.r.Text(string(l.zone))
		l.r.Close()
	}
	if target == 0 {
		return
	}
	l.r.Section(wire.Additional)
	for i := range svc.External {
		if !repeated(svc.External, i) {
			l.r.Address(target, svc.External[i].Addr.Bytes(), l.h.ttl)
		}
	}
}

// openSRV begins an SRV record whose target, to follow, stands at the place returned. A target is not compressed
// (RFC 2782).
func (l *lookup) openSRV(weight, port uint16) wire.Ref {
	l.r.Open(wire.QuestionName, dns.TypeSRV, l.h.ttl)
	l.r.Uint16(0)
	l.r.Uint16(weight)
	l.r.Uint16(port)
	return l.r.Here()
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
		if zone := l.h.zones[0]; l.q.Type == dns.TypePTR && len(svc.Key())+len(zone) <= wire.MaxName {
			l.r.Open(wire.QuestionName, dns.TypePTR, l.h.ttl)
			l.r.Text(svc.Key())
			l.r.Text(string(zone))
			l.r.Close()
		}
	}
	return exists
}
