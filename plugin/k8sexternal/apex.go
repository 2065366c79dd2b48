package k8sexternal

import (
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/server/wire"
)

// Labels in wire form, below the label of the apex: its name server, and its mailbox.
const (
	nameServer = "\x03ns1"
	mailbox    = "\x0ahostmaster"
)

// serial is that of the last change. With endpoints among the answers every one in the cluster counts.
func (h *Handler) serial() uint32 {
	store := h.cluster.Store()
	if h.headless {
		return max(store.ExternalSerial(), store.Serial())
	}
	return store.ExternalSerial()
}

// soa is what the start of authority of a zone says.
func (h *Handler) soa() wire.SOA {
	return wire.SOA{
		MName: h.ns, RName: h.mbox, TTL: h.ttl, Serial: h.serial(),
		Refresh: 7200, Retry: 1800, Expire: 86400, Minimum: h.ttl,
	}
}

// apexAnswer answers the zone's own name.
func (l *lookup) apexAnswer() {
	switch l.Query.Type {
	case dns.TypeSOA:
		soa := l.h.soa()
		l.Reply.SOA(l.ZoneRef(), &soa)
	case dns.TypeA, dns.TypeAAAA:
		if len(l.h.kinds) > 0 {
			l.apexHost()
		}
	case dns.TypeNS:
		l.Reply.Open(l.ZoneRef(), dns.TypeNS, l.h.ttl)
		target := l.Reply.Here()
		l.Reply.Text(l.h.ns)
		l.Reply.Pointer(l.ZoneRef())
		l.Reply.Close()
		l.Reply.Section(wire.Additional)
		for _, addr := range l.h.serverAddrs() {
			l.Reply.Address(target, addr.Bytes(), l.h.ttl)
		}
	}
}

// servers tells whether the name is that of the apex's label, or below it.
func (l *lookup) servers() bool {
	return l.Left > 0 && string(l.Query.Label(l.Left-1)) == l.h.apex
}

// serversAnswer answers there: ns1 is the only name, and the label itself exists because of it.
func (l *lookup) serversAnswer() (exists bool) {
	switch {
	case l.Left == 1:
		return true
	case l.Left != 2 || string(l.Query.Label(0)) != nameServer[1:]:
		return false
	}
	if t := l.Query.Type; t == dns.TypeA || t == dns.TypeAAAA {
		for _, addr := range l.h.serverAddrs() {
			if l.wants(&addr) {
				l.Reply.Address(wire.QuestionName, addr.Bytes(), l.h.ttl)
			}
		}
	}
	return true
}

// serverAddrs are those by which the outside reaches this server: of the services that this host's addresses are
// endpoints of, or else those addresses themselves.
func (h *Handler) serverAddrs() (all []cluster.Addr) {
	found := false
	add := func(addr cluster.Addr) {
		for _, have := range all {
			if have == addr {
				return
			}
		}
		all = append(all, addr)
	}
	for _, local := range h.cluster.Local() {
		addr := cluster.AddrFrom(local)
		holders := h.cluster.Store().Holders(addr)
		for svc := holders.Next(); svc != nil; svc = holders.Next() {
			list := h.cluster.Endpoints(svc)
			if len(list.At(addr)) == 0 {
				continue
			}
			found = true
			h.eachServerAddr(svc, list, add)
		}
	}
	if !found {
		for _, local := range h.cluster.Local() {
			add(cluster.AddrFrom(local))
		}
	}
	return all
}

func (h *Handler) eachServerAddr(svc *cluster.Service, list *cluster.Endpoints, add func(cluster.Addr)) {
	if h.headless && svc.Type == cluster.Headless {
		for i := range list.List {
			add(list.List[i].Addr)
		}
		return
	}
	for _, e := range svc.External {
		if !isHost(e) {
			add(e.Addr)
		}
	}
}
