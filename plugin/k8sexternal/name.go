package k8sexternal

import (
	"strings"

	"github.com/nameplane/nameplane/cluster"
)

// name is a service's name: [endpoint | _port._protocol].service.namespace. Its labels alias the question, in lower case.
type name struct {
	svc      *cluster.Service
	endpoint []byte
	port     []byte // underscores stripped; empty for any
	protocol []byte
}

// parse reads the labels left of the zone, from right to left. Without a service it tells whether the name exists all
// the same, as a namespace does.
func (l *lookup) parse() (n name, exists bool) {
	q, at := l.q, l.left-1
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
		n.endpoint = bare(q.Label(0))
	case 2:
		n.port, n.protocol = bare(q.Label(0)), bare(q.Label(1))
	default:
		return n, false
	}
	n.svc = l.h.cluster.Store().Service(q.Span(at, l.left))
	return n, false
}

// bare is a label without its underscore, which may be missing.
func bare(label []byte) []byte {
	if label[0] == '_' {
		return label[1:]
	}
	return label
}

// matches tells whether port i is one that the name asks for. No ports at all count as one without name and protocol,
// which only a name without a port asks for.
func (n *name) matches(ports []cluster.Port, i int) bool {
	if len(ports) == 0 {
		return len(n.port) == 0 && len(n.protocol) == 0
	}
	p := &ports[i]
	return (len(n.port) == 0 || equalFold(p.Name, n.port)) &&
		(len(n.protocol) == 0 || p.Protocol.String() == string(n.protocol))
}

// equalFold compares an object's name with a label, which is in lower case.
func equalFold(name string, label []byte) bool {
	return name == string(label) || len(name) == len(label) && strings.EqualFold(name, string(label))
}

// count is the number of ports that the name asks for.
func (n *name) count(ports []cluster.Port) (count int) {
	for i := range max(1, len(ports)) {
		if n.matches(ports, i) {
			count++
		}
	}
	return count
}

// numbered tells whether one of the ports that the name asks for has this number.
func (n *name) numbered(ports []cluster.Port, number uint16) bool {
	for i := range ports {
		if ports[i].Number == number && n.matches(ports, i) {
			return true
		}
	}
	return false
}
