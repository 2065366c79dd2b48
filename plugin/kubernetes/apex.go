package kubernetes

import (
	"net/netip"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/server/wire"
)

// Seconds. A negative answer, or the zone's SOA itself, is not to be kept longer than the first, whatever "ttl" says.
const (
	soaMaxTTL  = 300
	versionTTL = 28800
)

const soaMailbox = "\x0ahostmaster" // label in wire form, below the zone

// soa fills in what the start of authority of a zone says.
func (k *Kubernetes) soa(soa *wire.SOA, zone wire.Name) {
	*soa = wire.SOA{
		MName: "\x02ns\x03dns", RName: soaMailbox, TTL: min(k.ttl, soaMaxTTL), Serial: k.services(zone).Serial(),
		Refresh: 7200, Retry: 1800, Expire: 86400, Minimum: k.ttl,
	}
}

// apexAnswer answers the zone's own name, and names that are there only for what lies below them: those have no
// records, which is not the same as not to exist (RFC 8020; D1).
func (l *lookup) apexAnswer() (exists bool) {
	if l.Left > 0 {
		return true
	}
	switch l.Query.Type {
	case dns.TypeSOA:
		var soa wire.SOA
		l.k.soa(&soa, l.Zone)
		l.Reply.SOA(l.ZoneRef(), &soa)
	case dns.TypeNS:
		l.nameServers()
	}
	return true
}

// versionAnswer answers dns-version (Kubernetes DNS specification 1.1.0, section 2.2).
func (l *lookup) versionAnswer() (exists bool) {
	if l.Query.Type == dns.TypeTXT {
		l.Reply.Open(wire.QuestionName, dns.TypeTXT, versionTTL)
		l.Reply.Text("\x051.1.0")
		l.Reply.Close()
	}
	return true
}

// server is a name server of the zone: this very server, as the cluster knows it.
type server struct {
	labels []byte // below the zone, wire form
	addr   cluster.Addr
}

// nameServers appends the NS records of the zone and their addresses. A target is written once, and pointed at.
func (l *lookup) nameServers() {
	servers := l.k.servers()
	refs := make([]wire.Ref, len(servers))
	for i, s := range servers {
		for j := range servers[:i] {
			if string(servers[j].labels) == string(s.labels) {
				refs[i] = refs[j]
			}
		}
		if refs[i] != 0 || len(s.labels)+len(l.Zone) > wire.MaxName {
			continue
		}
		l.Reply.Open(l.ZoneRef(), dns.TypeNS, l.k.ttl)
		refs[i] = l.Reply.Here()
		l.Reply.Bytes(s.labels)
		l.Reply.Pointer(l.ZoneRef())
		l.Reply.Close()
	}
	l.Reply.Section(wire.Additional)
	for i, target := range refs {
		if target != 0 {
			l.Reply.Address(target, servers[i].addr.Bytes(), l.k.ttl)
		}
	}
}

// nameServerAnswer answers ns.dns with the addresses of the name servers.
func (l *lookup) nameServerAnswer() (exists bool) {
	if t := l.Query.Type; t != dns.TypeA && t != dns.TypeAAAA {
		return true
	}
	servers := l.k.servers()
	for i := range servers {
		if l.wants(&servers[i].addr) && !addressBefore(servers[:i], servers[i].addr) {
			l.Reply.Address(wire.QuestionName, servers[i].addr.Bytes(), l.k.ttl)
		}
	}
	return true
}

func addressBefore(servers []server, addr cluster.Addr) bool {
	for _, s := range servers {
		if s.addr == addr {
			return true
		}
	}
	return false
}

// servers are the services that this host's addresses are endpoints of or, where there is none, those addresses by the
// name of ns.dns.
func (k *Kubernetes) servers() (all []server) {
	found := false
	for _, local := range k.local {
		addr := cluster.AddrFrom(local)
		holders := k.store.Holders(addr)
		for svc := holders.Next(); svc != nil; svc = holders.Next() {
			list := k.endpoints(svc, false)
			if len(list.At(addr)) == 0 {
				continue
			}
			found = true
			all = k.appendServers(all, svc, list)
		}
	}
	if found {
		return all
	}
	for _, local := range k.local {
		all = append(all, server{labels: []byte("\x02ns\x03dns"), addr: cluster.AddrFrom(local)})
	}
	return all
}

// appendServers adds a service as name server: by its virtual IPs, or by each of its endpoints.
func (k *Kubernetes) appendServers(all []server, svc *cluster.Service, list *cluster.Endpoints) []server {
	add := func(labels []byte, addr cluster.Addr) {
		for _, s := range all {
			if s.addr == addr && string(s.labels) == string(labels) {
				return
			}
		}
		all = append(all, server{labels: labels, addr: addr})
	}
	below := append([]byte(svc.Key()), svcLabel...)
	switch svc.Type {
	case cluster.ClusterIP:
		for _, a := range svc.ClusterIPs {
			add(below, a)
		}
	case cluster.Headless:
		for i := range list.List {
			e := &list.List[i]
			add(append(list.AppendLabel(nil, e, k.podNames), below...), e.Addr)
		}
	}
	return all
}

// globalAddrs are the addresses among addrs by which other hosts may know this one.
func globalAddrs(addrs []netip.Addr) (out []netip.Addr) {
	for _, a := range addrs {
		if !a.IsLoopback() {
			out = append(out, a.WithZone(""))
		}
	}
	return out
}
