package k8sexternal

import (
	"cmp"
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
	if !store.Synced() { // a part of the zone would make the others' servers forget the rest
		return c, true, errors.New("the zone is not complete: the cluster's objects are not listed yet")
	}
	var services []*cluster.Service
	store.Services(func(svc *cluster.Service) {
		if h.cluster.Exposed([]byte(svc.NamespaceLabel())) {
			services = append(services, svc)
		}
	})
	slices.SortFunc(services, func(a, b *cluster.Service) int {
		return cmp.Or(strings.Compare(a.Name(), b.Name()), strings.Compare(a.Namespace(), b.Namespace()))
	})
	c.SOA = h.soaRecord(zone)
	c.Records = func(yield func(dns.RR) bool) {
		l := listing{h: h, zone: zone, yield: yield}
		l.nameServer()
		for _, svc := range services {
			if l.ended {
				return
			}
			l.service(svc)
		}
	}
	return c, true, nil
}

// below is a name of the apex, in wire form but for its root.
func (h *Handler) below(label string, zone wire.Name) wire.Name {
	return wire.Name(label+string(rune(len(h.apex)))+h.apex) + zone
}

// soaRecord is the same record as lookup.soa appends.
func (h *Handler) soaRecord(zone wire.Name) *dns.SOA {
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: zone.String(), Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: h.ttl},
		Ns:  h.below(nameServer, zone).String(), Mbox: h.below(mailbox, zone).String(),
		Serial: h.serial(), Refresh: 7200, Retry: 1800, Expire: 86400, Minttl: h.ttl,
	}
}

// listing writes out the records of a zone.
type listing struct {
	h     *Handler
	zone  wire.Name
	yield func(dns.RR) bool
	ended bool // nobody wants more
}

func (l *listing) add(rr dns.RR) { l.ended = l.ended || !l.yield(rr) }

func (l *listing) header(name string, rtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: rtype, Class: dns.ClassINET, Ttl: l.h.ttl}
}

func (l *listing) address(name string, addr cluster.Addr) {
	if addr.Is4() {
		l.add(&dns.A{Hdr: l.header(name, dns.TypeA), A: addr.Bytes()})
		return
	}
	l.add(&dns.AAAA{Hdr: l.header(name, dns.TypeAAAA), AAAA: addr.Bytes()})
}

func (l *listing) nameServer() {
	name := l.h.below(nameServer, l.zone).String()
	l.add(&dns.NS{Hdr: l.header(l.zone.String(), dns.TypeNS), Ns: name})
	for _, addr := range l.h.serverAddrs() {
		l.address(name, addr)
	}
}

// service lists one service. Unnamed ports have no names of their own. Where it has an alias, that is all its name has, and
// one without addresses has a single alias: other servers refuse a zone that is not so (RFC 2181, section 10.1).
func (l *listing) service(svc *cluster.Service) {
	name := l.name(svc, "")
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
			l.address(name, e.Addr)
			targets = appendNew(targets, name)
		}
	}
	alias := !slices.Contains(targets, name)
	if alias {
		l.add(&dns.CNAME{Hdr: l.header(name, dns.TypeCNAME), Target: targets[0]})
	}
	for i, p := range svc.Ports {
		known := slices.ContainsFunc(svc.Ports[:i], func(o cluster.Port) bool { return o.Number == p.Number })
		for _, target := range targets {
			if !known && !alias {
				l.target(name, p, weight(len(svc.External)*len(svc.Ports)), target)
			}
			if below := l.portName(svc, p); below != "" {
				l.target(below, p, weight(len(svc.External)), target)
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
			l.address(name, e.Addr)
		}
		own := l.name(svc, string(appendLabel(nil, list.Name(e, l.h.cluster.PodNames()), e.Addr)))
		if own == "" {
			continue
		}
		l.address(own, e.Addr)
		for _, p := range list.Ports[e.PortsSet] {
			if below := l.portName(svc, p); below != "" && p.Number != 0 {
				l.target(below, p, weight(len(list.List)), own)
			}
		}
	}
}

func (l *listing) target(name string, port cluster.Port, weight uint16, target string) {
	l.add(&dns.SRV{Hdr: l.header(name, dns.TypeSRV), Weight: weight, Port: port.Number, Target: target})
}

// portName is the name of a service's named port; empty where it has none.
func (l *listing) portName(svc *cluster.Service, p cluster.Port) string {
	const maxPort = 62 // an underscore comes first
	if p.Name == "" || len(p.Name) > maxPort {
		return ""
	}
	port, protocol := "_"+strings.ToLower(p.Name), "_"+p.Protocol.String()
	return l.name(svc, string(rune(len(port)))+port+string(rune(len(protocol)))+protocol)
}

// name is that of a service, or of labels in wire form below it; empty where it would be too long.
func (l *listing) name(svc *cluster.Service, labels string) string {
	whole := wire.Name(labels+svc.Key()) + l.zone
	if len(whole) > wire.MaxName {
		return ""
	}
	return whole.String()
}
