package kubernetes

import (
	"fmt"
	"slices"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// Contents implements plugin.Transferer: the name servers and the services of a zone, sorted by name, as CoreDNS has them:
// without pods, and without what is worked out for a question only. Reverse zones, whose names the store does not
// enumerate, cannot be transferred.
func (k *Kubernetes) Contents(zone wire.Name) (c plugin.Contents, ok bool, err error) {
	if !slices.Contains(k.zones, zone) || zone.IsReverse() {
		return c, false, nil
	}
	if !k.complete(k.isSet(zone)) { // a part of the zone would make the others' servers forget the rest
		return c, true, fmt.Errorf("the zone is not complete: %w", k.store.Status().Lacking())
	}
	services := k.services(zone).Sorted(func(svc *cluster.Service) bool { return k.exposed([]byte(svc.NamespaceLabel())) })
	var soa wire.SOA
	k.soa(&soa, zone)
	c.SOA = plugin.SOARecord(zone, &soa)
	c.Records = func(yield func(dns.RR) bool) {
		l := listing{Listing: plugin.Listing{Zone: zone, TTL: k.ttl, Yield: yield}, k: k, set: k.isSet(zone)}
		l.nameServers()
		for _, svc := range services {
			if l.Ended {
				return
			}
			l.service(svc)
		}
	}
	return c, true, nil
}

// listing writes out the records of a zone.
type listing struct {
	plugin.Listing
	k   *Kubernetes
	set bool // the zone is a cluster set's
}

// nameServers lists the NS records, each target once, and behind them the addresses. Those have a TTL of 0: nobody is to
// keep the addresses of a server that may move at any time.
func (l *listing) nameServers() {
	servers := l.k.servers()
	names := make([]string, len(servers))
	for i, s := range servers {
		names[i] = l.Name(string(s.labels))
		if names[i] != "" && !slices.Contains(names[:i], names[i]) {
			l.Add(&dns.NS{Hdr: l.Header(l.Zone.String(), dns.TypeNS), Ns: names[i]})
		}
	}
	for i, s := range servers {
		if names[i] != "" {
			l.Address(names[i], s.addr.Bytes(), 0)
		}
	}
}

// service lists one service. Unnamed ports have no names of their own (specification 1.1.0, section 2.3.2).
func (l *listing) service(svc *cluster.Service) {
	name := l.Name(svc.Key() + svcLabel)
	if name == "" {
		return
	}
	switch svc.Type {
	case cluster.ExternalName:
		if isName(svc.ExternalName) {
			l.Add(&dns.CNAME{Hdr: l.Header(name, dns.TypeCNAME), Target: dns.Fqdn(svc.ExternalName)})
		}
	case cluster.Headless:
		l.endpoints(svc, name)
	case cluster.ClusterIP:
		for i, a := range svc.ClusterIPs {
			if !repeated(svc.ClusterIPs[:i], &a) {
				l.Address(name, a.Bytes(), l.TTL)
			}
		}
		for i, p := range svc.Ports {
			if !slices.ContainsFunc(svc.Ports[:i], func(o cluster.Port) bool { return o.Number == p.Number }) {
				l.SRV(name, wire.Weight(1), p.Number, name)
			}
			if below := l.portName(svc, &p); below != "" {
				l.SRV(below, wire.Weight(1), p.Number, name)
			}
		}
	}
}

// endpoints lists those of a headless service: the address under the service's name and under the endpoint's own, and a
// record for each of its named ports.
func (l *listing) endpoints(svc *cluster.Service, name string) {
	list := l.k.endpoints(svc, l.set)
	if len(list.List) == 0 {
		return
	}
	w := wire.Weight(len(list.List))
	for i := range list.List {
		e := &list.List[i]
		if i == 0 || list.List[i-1].Addr != e.Addr { // sorted by address
			l.Address(name, e.Addr.Bytes(), l.TTL)
		}
		var buf [endpointLabels]byte
		labels := l.k.appendEndpoint(buf[:0], list, e, l.set)
		own := l.Name(string(labels) + svc.Key() + svcLabel)
		if labels == nil || own == "" {
			continue
		}
		l.Address(own, e.Addr.Bytes(), l.TTL)
		for _, p := range list.Ports[e.PortsSet] {
			if below := l.portName(svc, &p); below != "" {
				l.SRV(below, w, p.Number, own)
			}
		}
	}
}

// portName is the name of a service's named port; empty where it has none.
func (l *listing) portName(svc *cluster.Service, p *cluster.Port) string {
	labels := p.Labels()
	if labels == "" {
		return ""
	}
	return l.Name(labels + svc.Key() + svcLabel)
}
