package k8sexternal

import (
	"errors"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// Contents implements plugin.Transferer: the name server and the services of a zone, sorted by name. Other servers keep
// what they get, so a load balancer's name comes without what it stands for at the moment. Reverse zones,
// whose names the store does not enumerate, cannot be transferred.
func (h *Handler) Contents(zone wire.Name) (c plugin.Contents, ok bool, err error) {
	if !slices.Contains(h.zones, zone) || zone.IsReverse() {
		return c, false, nil
	}
	store := h.cluster.Store()
	if !h.complete() { // a part of the zone would make the others' servers forget the rest
		return c, true, errors.New("the zone is not complete: the cluster's objects are not listed yet")
	}
	services := store.Sorted(func(svc *cluster.Service) bool { return h.cluster.Exposed([]byte(svc.NamespaceLabel())) })
	soa := h.soa()
	c.SOA = plugin.SOARecord(zone, &soa)
	c.Records = func(yield func(dns.RR) bool) {
		l := listing{Listing: plugin.Listing{Zone: zone, TTL: h.ttl, Yield: yield}, h: h}
		l.nameServer()
		for _, svc := range services {
			if l.Ended {
				return
			}
			l.service(svc)
		}
		l.hosts()
	}
	return c, true, nil
}

// listing writes out the records of a zone.
type listing struct {
	plugin.Listing
	h *Handler
}

func (l *listing) nameServer() {
	name := l.Name(l.h.ns)
	l.Add(&dns.NS{Hdr: l.Header(l.Zone.String(), dns.TypeNS), Ns: name})
	for _, addr := range l.h.serverAddrs() {
		l.Address(name, addr.Bytes(), l.TTL)
	}
}

// service lists one service. Unnamed ports have no names of their own. Where it has an alias, that is all its name has, and
// one without addresses has a single alias: other servers refuse a zone that is not so (RFC 2181, section 10.1).
func (l *listing) service(svc *cluster.Service) {
	name := l.Name(svc.Key())
	if name == "" {
		return
	}
	if len(svc.External) == 0 {
		if l.h.headless && svc.Type == cluster.Headless {
			l.endpoints(svc, name)
		}
		return
	}
	var targets []string
	for i, e := range svc.External {
		switch {
		case repeated(svc.External, i):
		case isHost(e):
			targets = appendNew(targets, dns.Fqdn(e.Name))
		default:
			l.Address(name, e.Addr.Bytes(), l.TTL)
			targets = appendNew(targets, name)
		}
	}
	alias := !slices.Contains(targets, name)
	if alias {
		l.Add(&dns.CNAME{Hdr: l.Header(name, dns.TypeCNAME), Target: targets[0]})
	}
	for i, p := range svc.Ports {
		known := slices.ContainsFunc(svc.Ports[:i], func(o cluster.Port) bool { return o.Number == p.Number })
		for _, target := range targets {
			if !known && !alias {
				l.SRV(name, wire.Weight(len(svc.External)*len(svc.Ports)), p.Number, target)
			}
			if below := l.portName(svc, &p); below != "" {
				l.SRV(below, wire.Weight(len(svc.External)), p.Number, target)
			}
		}
	}
}

// endpoints lists those of a headless service: the address under the service's name and under the endpoint's own, and a
// record for each of its named ports.
func (l *listing) endpoints(svc *cluster.Service, name string) {
	list := l.h.cluster.Endpoints(svc)
	for i := range list.List {
		e := &list.List[i]
		if i == 0 || list.List[i-1].Addr != e.Addr { // sorted by address
			l.Address(name, e.Addr.Bytes(), l.TTL)
		}
		own := l.Name(string(list.AppendLabel(nil, e, l.h.cluster.PodNames())) + svc.Key())
		if own == "" {
			continue
		}
		l.Address(own, e.Addr.Bytes(), l.TTL)
		for _, p := range list.Ports[e.PortsSet] {
			if below := l.portName(svc, &p); below != "" && p.Number != 0 {
				l.SRV(below, wire.Weight(len(list.List)), p.Number, own)
			}
		}
	}
}

// hosts lists host names that are not services' names.
func (l *listing) hosts() {
	if len(l.h.kinds) == 0 {
		return
	}
	var all []*cluster.Host
	l.h.cluster.Store().Hosts(func(h *cluster.Host) {
		if l.lists(wire.Name(h.Key())) {
			all = append(all, h)
		}
	})
	slices.SortFunc(all, func(a, b *cluster.Host) int { return strings.Compare(a.Key(), b.Key()) })
	for _, h := range all {
		if l.Ended {
			return
		}
		name, atApex := wire.Name(h.Key()).String(), wire.Name(h.Key()) == l.Zone
		external, _ := l.h.leads(h)
		for _, e := range external {
			switch {
			case !isHost(e):
				l.Address(name, e.Addr.Bytes(), l.TTL)
			case !atApex:
				l.Add(&dns.CNAME{Hdr: l.Header(name, dns.TypeCNAME), Target: dns.Fqdn(e.Name)})
			}
		}
	}
}

// lists tells whether a host's name is one of the zone's, and answered as such: not one of the name servers', nor a service's.
func (l *listing) lists(name wire.Name) bool {
	if !l.Zone.Contains(name) {
		return false
	}
	below := string(name[:len(name)-len(l.Zone)])
	if strings.HasSuffix(below, l.h.ns[len(nameServer):]) {
		return false
	}
	svc := l.h.cluster.Store().Service([]byte(below))
	if svc == nil || !l.h.cluster.Exposed([]byte(svc.NamespaceLabel())) {
		return true
	}
	return len(svc.External) == 0 && !(l.h.headless && svc.Type == cluster.Headless && len(l.h.cluster.Endpoints(svc).List) > 0)
}

// portName is the name of a service's named port; empty where it has none.
func (l *listing) portName(svc *cluster.Service, p *cluster.Port) string {
	labels := p.Labels()
	if labels == "" {
		return ""
	}
	return l.Name(labels + svc.Key())
}
