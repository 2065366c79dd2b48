package kubernetes

import (
	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/server/wire"
)

// selection is the endpoints of a service that a name asks for. It holds copies, not pointers, of the values it is made
// of: so all of them stay on the stack.
type selection struct {
	lookup
	name   name
	list   *cluster.Endpoints
	within []byte             // only those of this topology zone, labels in wire form; empty for all
	first  int                // index in list of the first candidate
	among  []cluster.Endpoint // the candidates: all, or a stretch in which the one that is named must be
	addr   cluster.Addr       // that the endpoint label spells
	dashed bool               // whether it spells one
}

// selectEndpoints narrows a service's endpoints down to those that the endpoint label, if there is one, can mean.
func selectEndpoints(l *lookup, n *name, list *cluster.Endpoints) selection {
	s := selection{lookup: *l, name: *n, list: list, within: n.zone.labels, among: list.List}
	if n.endpoint == nil {
		return s
	}
	from, to := len(list.List), 0
	for _, i := range list.Named(n.endpoint) {
		from, to = min(from, int(i)), max(to, int(i)+1)
	}
	if s.addr, s.dashed = cluster.ParseDashed(n.endpoint); s.dashed {
		if i, j := list.Range(s.addr); i < j {
			from, to = min(from, i), max(to, j)
		}
	}
	s.first, s.among = from, list.List[min(from, to):to]
	return s
}

// any tells whether there is an endpoint with a port that the name asks for.
func (s *selection) any() bool {
	for i := range s.among {
		if e := &s.among[i]; s.takes(e) && s.ports(e) > 0 {
			return true
		}
	}
	return false
}

// count is the number of pairs of an endpoint and a port, as the weights of SRV records want it.
func (s *selection) count() int {
	count := 0
	for i := range s.among {
		if e := &s.among[i]; s.takes(e) {
			count += s.ports(e)
		}
	}
	return count
}

// takes tells whether the name asks for an endpoint, its ports aside.
func (s *selection) takes(e *cluster.Endpoint) bool {
	if s.name.endpoint != nil && !(s.isNamed(e, s.name.endpoint) && (!s.set || s.list.Zone(e) == string(s.name.cluster))) {
		return false
	}
	return len(s.within) == 0 || sameLabels(s.list.Zone(e), s.within)
}

// isNamed tells whether label is an endpoint's: its name or, where it has none, its address with dashes.
func (s *selection) isNamed(e *cluster.Endpoint, label []byte) bool {
	if own := s.list.Name(e, s.k.podNames); own != "" {
		return own == string(label)
	}
	return s.dashed && s.addr == e.Addr
}

// sameLabels compares a text with dots to labels in wire form.
func sameLabels(text string, labels []byte) bool {
	if len(labels) != len(text)+1 {
		return false
	}
	for i, next := 0, 0; i < len(labels); i++ {
		if i == next {
			next += 1 + int(labels[i])
			if i > 0 && text[i-1] != '.' {
				return false
			}
		} else if text[i-1] != labels[i] {
			return false
		}
	}
	return true
}

// ports is the number of an endpoint's ports that the name asks for.
func (s *selection) ports(e *cluster.Endpoint) int {
	return s.name.port.Count(s.list.Ports[e.PortsSet])
}

// addresses appends an A or AAAA record for each address. The list is sorted by address.
func (s *selection) addresses() {
	var last *cluster.Addr
	for i := range s.among {
		e := &s.among[i]
		if !s.wants(&e.Addr) || last != nil && *last == e.Addr || !s.takes(e) || s.ports(e) == 0 {
			continue
		}
		last = &e.Addr
		s.Reply.Address(wire.QuestionName, e.Addr.Bytes(), s.k.ttl)
	}
}
