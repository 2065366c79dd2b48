package kubernetes

import (
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
)

// svcLabel is the label, in wire form, above those of a service.
const svcLabel = "\x03svc"

// kind is what a name in one of our zones may be.
type kind uint8

const (
	unknown     kind = iota
	structural       // the zone itself, or a name that only exists because others lie below it
	version          // dns-version
	nameServer       // ns.dns
	podName          // address.namespace.pod
	serviceName      // service.namespace.svc, and below
	reverseName      // of a whole address
)

// name is the labels of a pod's or service's name. All of them alias the question, in lower case.
type name struct {
	namespace []byte // label in wire form
	svc       *cluster.Service
	pod       []byte // a pod's address label
	endpoint  []byte
	cluster   []byte // that the endpoint is in, in a cluster set's zone
	port      cluster.PortQuery
	zone      zonal
	addr      cluster.Addr // of a reverse name
}

// zonal is the part of a name that asks for the endpoints of one topology zone: Z.pin._zone or Z.prefer._zone.
type zonal struct {
	labels []byte // wire form; empty when the name is not of that kind
	prefer bool   // all endpoints when the zone has none
}

// parse reads the labels left of the zone into n, from right to left.
func (l *lookup) parse(n *name) kind {
	q, left := l.Query, l.Left
	reverse := q.IsReverse()
	if reverse && (left > 0 || q.Type == dns.TypePTR) { // a zone may be as small as one address
		if addr, ok := q.Reverse(); ok {
			n.addr = addr
			return reverseName
		}
	}
	if left == 0 {
		return structural
	}
	top := string(q.Label(left - 1)) // does not allocate: it does not leave the function
	switch {
	case top == "dns-version" && left == 1:
		return version
	case top == "dns" && left == 1:
		return structural
	case top == "dns" && left == 2 && string(q.Label(0)) == "ns":
		return nameServer
	case top != "svc" && top != "pod":
		return unknown
	case left == 1:
		return structural
	case reverse:
		return unknown
	}
	return l.parseBelow(n, top == "pod")
}

// parseBelow reads what stands left of svc or pod: a namespace, then the service or pod, then what narrows it down.
func (l *lookup) parseBelow(n *name, pod bool) kind {
	q, at := l.Query, l.Left-2
	n.namespace = q.Span(at, at+1)
	if !l.k.exposed(n.namespace) {
		return unknown
	}
	if pod && l.k.pods == podsDisabled {
		return unknown
	}
	if at == 0 {
		return structural
	}
	at--
	n.pod = q.Label(at)
	switch at {
	case 0:
	case 1:
		n.endpoint = q.Label(0)
	case 2:
		if l.set && namesEndpoint(q.Label(0), q.Label(1)) {
			n.endpoint, n.cluster = q.Label(0), q.Label(1)
			break
		}
		n.port = cluster.PortQuery{Name: cluster.Bare(q.Label(0)), Protocol: cluster.Bare(q.Label(1))}
	default:
		if pod || !l.zonal(n, at) {
			return unknown
		}
	}
	if pod {
		return podName
	}
	if n.svc = l.k.services(l.Zone).Service(q.Span(at, l.Left-1)); n.svc == nil {
		return unknown
	}
	return serviceName
}

// narrowed tells whether labels left of the service ask for less than the whole of it.
func (n *name) narrowed() bool {
	return len(n.endpoint) > 0 || !n.port.Any() || len(n.zone.labels) > 0
}

// zonal reads the labels left of the service, at of them, as a zone-scoped name.
func (l *lookup) zonal(n *name, at int) bool {
	if !l.k.zonal || l.set || string(l.Query.Label(at-1)) != "_zone" {
		return false
	}
	switch string(l.Query.Label(at - 2)) {
	case "pin":
	case "prefer":
		n.zone.prefer = true
	default:
		return false
	}
	n.zone.labels = l.Query.Span(0, at-2)
	return true
}

// exposed tells whether a namespace, a label in wire form, exists and is one that this directive shows.
func (k *Kubernetes) exposed(namespace []byte) bool {
	if len(k.namespaces) > 0 {
		if _, ok := k.namespaces[string(namespace[1:])]; !ok {
			return false
		}
	}
	return k.store.HasNamespace(namespace)
}
