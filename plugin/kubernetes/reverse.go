package kubernetes

import (
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/server/wire"
)

// reverseAnswer answers the reverse name of an address: one name for a virtual IP, else one for each service and endpoint
// that has the address.
func (l *lookup) reverseAnswer() (exists bool) {
	octets, _ := l.q.Reverse()
	addr := cluster.Addr(octets)
	if svc := l.k.clusterIPHolder(addr); svc != nil {
		if l.q.Type == dns.TypePTR {
			l.pointer(nil, svc)
		}
		return true
	}
	holders := l.k.store.Holders(addr)
	for svc := holders.Next(); svc != nil; svc = holders.Next() {
		if l.k.shows(svc) && l.endpointPointers(svc, addr) {
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

// endpointPointers appends the names that an address has in one service.
func (l *lookup) endpointPointers(svc *cluster.Service, addr cluster.Addr) (any bool) {
	list := l.k.endpoints(svc)
	at := list.At(addr)
	for i := range at {
		name := list.Name(&at[i], l.k.podNames)
		if l.q.Type == dns.TypePTR && !l.namedBefore(list, at[:i], name) {
			l.pointer(endpointLabel(name, &addr), svc)
		}
	}
	return len(at) > 0
}

func (l *lookup) namedBefore(list *cluster.Endpoints, before []cluster.Endpoint, name string) bool {
	for i := range before {
		if list.Name(&before[i], l.k.podNames) == name {
			return true
		}
	}
	return false
}

// endpointLabel is an endpoint's name or, where it has none, its address with dashes.
func endpointLabel(name string, addr *cluster.Addr) []byte {
	if name != "" {
		return []byte(name)
	}
	return addr.AppendDashed(make([]byte, 0, 48))
}

// pointer appends a PTR record to a service, or to an endpoint of it.
func (l *lookup) pointer(endpoint []byte, svc *cluster.Service) {
	var buf [wire.MaxName + 64]byte
	target := buf[:0]
	if endpoint != nil {
		target = wireLabels(target, endpoint)
	}
	target = append(target, svc.Key()...)
	target = append(target, "\x03svc"...)
	target = append(target, l.k.primary...)
	if len(target) > wire.MaxName {
		return
	}
	l.r.Open(questionName, dns.TypePTR, l.k.ttl)
	l.r.Name(target)
	l.r.Close()
}
