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

// soa appends the zone's start of authority.
func (l *lookup) soa() {
	r, zone := l.r, l.q.ZoneRef(l.zone)
	r.Open(zone, dns.TypeSOA, l.h.ttl)
	for _, label := range [...]string{nameServer, mailbox} {
		r.Text(label)
		l.apexLabel()
		r.Pointer(zone)
	}
	for _, v := range [...]uint32{l.h.serial(), 7200, 1800, 86400, l.h.ttl} { // refresh, retry, expire, minimum
		r.Uint32(v)
	}
	r.Close()
}

// apexLabel appends the label of the apex in wire form.
func (l *lookup) apexLabel() {
	l.r.Bytes([]byte{byte(len(l.h.apex))})
	l.r.Text(l.h.apex)
}

// apexAnswer answers the zone's own name.
func (l *lookup) apexAnswer() {
	switch l.q.Type {
	case dns.TypeSOA:
		l.soa()
	case dns.TypeNS:
		zone := l.q.ZoneRef(l.zone)
		l.r.Open(zone, dns.TypeNS, l.h.ttl)
		target := l.r.Here()
		l.r.Text(nameServer)
		l.apexLabel()
		l.r.Pointer(zone)
		l.r.Close()
		l.r.Section(wire.Additional)
		for _, addr := range l.h.serverAddrs() {
			l.r.Address(target, addr.Bytes(), l.h.ttl)
		}
	}
}

// servers tells whether the name is that of the apex's label, or below it.
func (l *lookup) servers() bool {
	return l.left > 0 && string(l.q.Label(l.left-1)) == l.h.apex
}

// serversAnswer answers there: ns1 is the only name, and the label itself exists because of it.
func (l *lookup) serversAnswer() (exists bool) {
	switch {
	case l.left == 1:
		return true
	case l.left != 2 || string(l.q.Label(0)) != nameServer[1:]:
		return false
	}
	if t := l.q.Type; t == dns.TypeA || t == dns.TypeAAAA {
		for _, addr := range l.h.serverAddrs() {
			if l.wants(&addr) {
				l.r.Address(wire.QuestionName, addr.Bytes(), l.h.ttl)
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
