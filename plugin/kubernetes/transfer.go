package kubernetes

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

// Contents implements plugin.Transferer: the name servers and the services of a zone, sorted by name, as CoreDNS has them:
// without pods, and without what is worked out for a question only. Reverse zones, whose names the store does not
// enumerate, cannot be transferred.
func (k *Kubernetes) Contents(zone wire.Name) (c plugin.Contents, ok bool, err error) {
	if !slices.Contains(k.zones, zone) || zone.IsReverse() {
		return c, false, nil
	}
	if !k.store.Synced() { // a part of the zone would make the others' servers forget the rest
		return c, true, errors.New("the zone is not complete: " + k.Ready().Error())
	}
	var services []*cluster.Service
	k.store.Services(func(svc *cluster.Service) {
		if k.exposed([]byte(svc.NamespaceLabel())) {
			services = append(services, svc)
		}
	})
	slices.SortFunc(services, func(a, b *cluster.Service) int {
		return cmp.Or(strings.Compare(a.Name(), b.Name()), strings.Compare(a.Namespace(), b.Namespace()))
	})
	c.SOA = k.soaRecord(zone.String())
	c.Records = func(yield func(dns.RR) bool) {
		l := listing{k: k, zone: zone, yield: yield}
		l.nameServers()
		for _, svc := range services {
			if l.ended {
				return
			}
			l.service(svc)
		}
	}
	return c, true, nil
}

// soaRecord is the same record as lookup.soa appends.
func (k *Kubernetes) soaRecord(zone string) *dns.SOA {
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: zone, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: min(k.ttl, soaMaxTTL)},
		Ns:  "ns.dns." + zone, Mbox: "hostmaster." + zone,
		Serial: k.store.Serial(), Refresh: 7200, Retry: 1800, Expire: 86400, Minttl: k.ttl,
	}
}

// listing writes out the records of a zone.
type listing struct {
	k     *Kubernetes
	zone  wire.Name
	yield func(dns.RR) bool
	ended bool // nobody wants more
}

func (l *listing) add(rr dns.RR) { l.ended = l.ended || !l.yield(rr) }

func (l *listing) header(name string, rtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: rtype, Class: dns.ClassINET, Ttl: l.k.ttl}
}

// nameServers lists the NS records, each target once, and behind them the addresses. Those have a TTL of 0: nobody is to
// keep the addresses of a server that may move at any time.
func (l *listing) nameServers() {
	servers := l.k.servers()
	names := make([]string, len(servers))
	for i, s := range servers {
		target := wire.Name(s.labels) + l.zone
		if len(target) > wire.MaxName {
			continue
		}
		names[i] = target.String()
		if !slices.Contains(names[:i], names[i]) {
			l.add(&dns.NS{Hdr: l.header(l.zone.String(), dns.TypeNS), Ns: names[i]})
		}
	}
	for i, s := range servers {
		if names[i] != "" {
			l.address(names[i], s.addr, 0)
		}
	}
}

func (l *listing) address(name string, addr cluster.Addr, ttl uint32) {
	h := l.header(name, dns.TypeA)
	h.Ttl = ttl
	if addr.Is4() {
		l.add(&dns.A{Hdr: h, A: addr.Bytes()})
		return
	}
	h.Rrtype = dns.TypeAAAA
	l.add(&dns.AAAA{Hdr: h, AAAA: addr.Bytes()})
}

func (l *listing) target(name string, port cluster.Port, weight uint16, target string) {
	l.add(&dns.SRV{Hdr: l.header(name, dns.TypeSRV), Weight: weight, Port: port.Number, Target: target})
}

// service lists one service. Unnamed ports have no names of their own (specification 1.1.0, section 2.3.2).
func (l *listing) service(svc *cluster.Service) {
	name := l.name(svc, "")
	if name == "" {
		return
	}
	switch svc.Type {
	case cluster.ExternalName:
		if isName(svc.ExternalName) {
			l.add(&dns.CNAME{Hdr: l.header(name, dns.TypeCNAME), Target: dns.Fqdn(svc.ExternalName)})
		}
	case cluster.Headless:
		l.endpoints(svc, name)
	case cluster.ClusterIP:
		for i, a := range svc.ClusterIPs {
			if !repeated(svc.ClusterIPs[:i], &a) {
				l.address(name, a, l.k.ttl)
			}
		}
		for i, p := range svc.Ports {
			if !slices.ContainsFunc(svc.Ports[:i], func(o cluster.Port) bool { return o.Number == p.Number }) {
				l.target(name, p, weight(1), name)
			}
			if below := l.portName(svc, p); below != "" {
				l.target(below, p, weight(1), name)
			}
		}
	}
}

// endpoints lists those of a headless service: the address under the service's name and under the endpoint's own, and a
// record for each of its named ports.
func (l *listing) endpoints(svc *cluster.Service, name string) {
	list := l.k.endpoints(svc)
	if len(list.List) == 0 {
		return
	}
	w := weight(len(list.List))
	for i := range list.List {
		e := &list.List[i]
		if i == 0 || list.List[i-1].Addr != e.Addr { // sorted by address
			l.address(name, e.Addr, l.k.ttl)
		}
		var buf [64]byte
		own := l.name(svc, string(appendEndpoint(buf[:0], list.Name(e, l.k.podNames), e.Addr)))
		if own == "" {
			continue
		}
		l.address(own, e.Addr, l.k.ttl)
		for _, p := range list.Ports[e.PortsSet] {
			if below := l.portName(svc, p); below != "" {
				l.target(below, p, w, own)
			}
		}
	}
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
	whole := wire.Name(labels+svc.Key()+svcLabel) + l.zone
	if len(whole) > wire.MaxName {
		return ""
	}
	return whole.String()
}
