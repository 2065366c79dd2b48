package kubernetes

import (
	"cmp"
	"iter"
	"slices"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/server/wire"
)

// targets is the SRV records of one answer about endpoints. It is pooled.
type targets struct {
	selection
	refs []wire.Ref // where the target of each candidate's SRV record stands; 0 without one
}

// services appends an SRV record for each label of an endpoint and port number, and the endpoints' addresses.
func (s *selection) services() {
	t, _ := s.k.targets.Get().(*targets)
	if t == nil {
		t = new(targets)
	}
	t.selection = *s
	t.refs = slices.Grow(t.refs[:0], len(s.among))[:len(s.among)]
	clear(t.refs)
	t.answer()
	t.selection = selection{}
	s.k.targets.Put(t)
}

func (t *targets) answer() {
	w := wire.Weight(t.count())
	for i := range t.among {
		if e := &t.among[i]; t.takes(e) {
			t.endpointServices(i, e, w)
		}
	}
	t.Reply.Section(wire.Additional)
	for i, target := range t.refs {
		if target != 0 && !t.addressed(i) {
			t.Reply.Address(target, t.among[i].Addr.Bytes(), t.k.ttl)
		}
	}
}

// endpointServices appends the SRV records of endpoint i, but for those that a twin brought already.
func (t *targets) endpointServices(i int, e *cluster.Endpoint, w uint16) {
	var target wire.Ref
	for j := range t.twins(i) {
		target = t.refs[j]
		break
	}
	hasTwin := target != 0
	ports := t.list.Ports[e.PortsSet]
	for j, p := range ports {
		if p.Number == 0 || !t.name.port.Matches(ports, j) {
			continue
		}
		if !t.name.port.Numbered(ports[:j], p.Number) && !(hasTwin && t.twinHas(i, p.Number)) {
			at := t.endpointService(e, w, p.Number)
			target = cmp.Or(target, at)
		}
		t.refs[i] = target
	}
}

// endpointService appends an SRV record to endpoint.service.namespace.svc.ZONE, and returns the place of that name; 0 when
// it is too long to be one.
func (t *targets) endpointService(e *cluster.Endpoint, weight, port uint16) wire.Ref {
	var buf [endpointLabels]byte
	label := t.k.appendEndpoint(buf[:0], t.list, e, t.set)
	if label == nil || len(label)+len(t.name.svc.Key())+len(svcLabel)+len(t.Zone) > wire.MaxName {
		return 0
	}
	target := t.Reply.OpenSRV(wire.QuestionName, t.k.ttl, weight, port)
	t.Reply.Bytes(label)
	t.serviceTarget(t.name.svc)
	t.Reply.Close()
	return target
}

// twins are the endpoints before i that have the same label, and an SRV record.
func (t *targets) twins(i int) iter.Seq[int] {
	return func(yield func(int) bool) {
		own := t.list.Name(&t.among[i], t.k.podNames)
		if own == "" {
			for j := range t.sameAddress(i) {
				if !yield(j) {
					return
				}
			}
			return
		}
		for _, index := range t.list.NamedAs(&t.among[i]) {
			j := int(index) - t.first
			if j >= i {
				return
			}
			if j >= 0 && t.refs[j] != 0 && t.alike(i, j) && !yield(j) {
				return
			}
		}
	}
}

// sameAddress are the endpoints before i that have the same label and the same address, and an SRV record: the list is
// sorted by address.
func (t *targets) sameAddress(i int) iter.Seq[int] {
	return func(yield func(int) bool) {
		e := &t.among[i]
		for j := i - 1; j >= 0 && t.among[j].Addr == e.Addr; j-- {
			if t.refs[j] != 0 && t.alike(i, j) && !yield(j) {
				return
			}
		}
	}
}

// alike tells whether endpoints i and j go by the same name, or by none, in the same cluster.
func (t *targets) alike(i, j int) bool {
	a, b := &t.among[i], &t.among[j]
	return t.list.Name(a, t.k.podNames) == t.list.Name(b, t.k.podNames) && (!t.set || t.list.Zone(a) == t.list.Zone(b))
}

// twinHas tells whether a twin of endpoint i has the port number too.
func (t *targets) twinHas(i int, number uint16) bool {
	for j := range t.twins(i) {
		if t.name.port.Numbered(t.list.Ports[t.among[j].PortsSet], number) {
			return true
		}
	}
	return false
}

// addressed tells whether the additional section has the name and address of endpoint i already.
func (t *targets) addressed(i int) bool {
	for range t.sameAddress(i) {
		return true
	}
	return false
}
