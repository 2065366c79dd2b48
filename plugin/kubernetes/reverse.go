package kubernetes

import (
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/server/wire"
)

// reverseAnswer answers the reverse name of an address: one name for a virtual IP, else one for each service and endpoint
// that has the address.
func (l *lookup) reverseAnswer(addr cluster.Addr) (exists bool) {
	p := pointers{lookup: *l}
	if svc := l.k.clusterIPHolder(addr); svc != nil {
		p.add(svc, nil)
		return true
	}
	holders := l.k.store.Holders(addr)
	for svc := holders.Next(); svc != nil; svc = holders.Next() {
		if l.k.shows(svc) && p.addEndpoints(svc, addr) {
			exists = true
		}
	}
	return exists
}

// clusterIPHolder is the service with this virtual IP, nil when there is none that may be shown.
func (k *Kubernetes) clusterIPHolder(addr cluster.Addr) *cluster.Service {
	holders := k.store.Holders(addr)
	for svc := holders.Next(); svc != nil; svc = holders.Next() {
		if svc.HasClusterIP(addr) && k.shows(svc) {
			return svc
		}
	}
	return nil
}

// shows tells whether a service may be named to those who know only its address (D9). Without a filter on namespaces
// a namespace that is not listed is no reason to hide.
func (k *Kubernetes) shows(svc *cluster.Service) bool {
	return !k.filtered || k.exposed([]byte(svc.NamespaceLabel()))
}

// pointers is the PTR records of one answer.
type pointers struct {
	lookup
	suffix wire.Ref // where svc.ZONE stands; 0 before the first record
	n      int
	named  [8]namedService // the last ones
}

// namedService is the place of a service's name in the reply: names of the same service, or of the same namespace, end
// alike and are written once (RFC 1035, section 4.1.4), so that as many fit into a datagram as with CoreDNS.
type namedService struct {
	svc *cluster.Service
	at  wire.Ref
}

// addEndpoints adds the names that an address has in one service.
func (p *pointers) addEndpoints(svc *cluster.Service, addr cluster.Addr) (any bool) {
	list := p.k.endpoints(svc, false)
	at := list.At(addr)
	for i := range at {
		if !p.namedBefore(list, at[:i], list.Name(&at[i], p.k.podNames)) {
			var buf [wire.MaxName]byte
			p.add(svc, list.AppendLabel(buf[:0], &at[i], p.k.podNames))
		}
	}
	return len(at) > 0
}

func (p *pointers) namedBefore(list *cluster.Endpoints, before []cluster.Endpoint, name string) bool {
	for i := range before {
		if list.Name(&before[i], p.k.podNames) == name {
			return true
		}
	}
	return false
}

// add appends a PTR record to a service, or to the endpoint of it with this label, if that is what is asked for. A name
// that is too long is none.
func (p *pointers) add(svc *cluster.Service, endpoint []byte) {
	if p.Query.Type != dns.TypePTR || len(endpoint)+len(svc.Key())+len(svcLabel)+len(p.k.primary) > wire.MaxName {
		return
	}
	p.Reply.Open(wire.QuestionName, dns.TypePTR, p.k.ttl)
	p.Reply.Bytes(endpoint)
	p.service(svc)
	p.Reply.Close()
}

// service appends a service's name and the zone's.
func (p *pointers) service(svc *cluster.Service) {
	here := p.Reply.Here()
	for _, before := range p.named[:min(p.n, len(p.named))] {
		if before.svc == svc {
			p.Reply.Pointer(before.at)
			return
		}
	}
	p.named[p.n%len(p.named)] = namedService{svc: svc, at: here}
	p.n++
	label := 1 + len(svc.Name())
	for _, before := range p.named[:min(p.n-1, len(p.named))] {
		if before.at != here && before.svc.NamespaceLabel() == svc.NamespaceLabel() {
			p.Reply.Text(svc.Key()[:label])
			p.Reply.Pointer(before.at + wire.Ref(1+len(before.svc.Name())))
			return
		}
	}
	p.Reply.Text(svc.Key())
	if p.suffix != 0 {
		p.Reply.Pointer(p.suffix)
		return
	}
	p.suffix = p.Reply.Here()
	p.Reply.Text(svcLabel)
	p.Reply.Text(string(p.k.primary))
}
