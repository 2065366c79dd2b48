package k8sexternal

import (
	"github.com/nameplane/nameplane/cluster"
)

// name is a service's name: [endpoint | _port._protocol].service.namespace. Its labels alias the question, in lower case.
type name struct {
	svc      *cluster.Service
	endpoint []byte
	port     cluster.PortQuery
}

// parse reads the labels left of the zone, from right to left. Without a service it tells whether the name exists all
// the same, as a namespace does.
func (l *lookup) parse() (n name, exists bool) {
	q, at := l.Query, l.Left-1
	if !l.h.cluster.Exposed(q.Span(at, at+1)) {
		return n, false
	}
	if at == 0 {
		return n, true
	}
	at--
	switch at {
	case 0:
	case 1:
		n.endpoint = cluster.Bare(q.Label(0))
	case 2:
		n.port = cluster.PortQuery{Name: cluster.Bare(q.Label(0)), Protocol: cluster.Bare(q.Label(1))}
	default:
		return n, false
	}
	n.svc = l.h.cluster.Store().Service(q.Span(at, l.Left))
	return n, false
}
