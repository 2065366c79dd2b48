package cluster

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strings"
)

// Backends are a service's backends, merged over its slices: the facts as they stand there, an address that several
// slices name as often as they do. They are immutable.
type Backends struct {
	list   []backend
	ports  [][]Port
	places []*locality
}

// backend is 22 bytes without a pointer: what many backends have alike stands beside the list, once.
type backend struct {
	addr  Addr
	ports uint16 // index into Backends.ports
	place uint16 // index into Backends.places
	state backendState
}

// backendState holds what is not as it usually is.
type backendState uint8

const (
	unready backendState = 1 << iota
	unserving
	terminating
)

// locality is a Place that all backends in it share, over all services; key tells it from others.
type locality struct {
	Place
	key string
}

// Len is how many there are; none for nil.
func (b *Backends) Len() int {
	if b == nil {
		return 0
	}
	return len(b.list)
}

// At is the i-th backend; they are sorted by address.
func (b *Backends) At(i int) Backend {
	e := &b.list[i]
	p := b.places[e.place]
	return Backend{
		Addr: e.addr, Ports: b.ports[e.ports], Node: p.Node, Zone: p.Zone, ForNodes: p.ForNodes, ForZones: p.ForZones,
		Ready: e.state&unready == 0, Serving: e.state&unserving == 0, Terminating: e.state&terminating != 0,
	}
}

// newBackends packs what one slice holds; nil when that is nothing, or nobody needs it. The ready ones among them were
// packed as ready, whose ports it shares.
func (w *Writer) newBackends(spec *SliceSpec, ready *Endpoints) *Backends {
	if !spec.Backends {
		return nil
	}
	ports := ready.Ports
	if ports == nil {
		ports = [][]Port{w.ports(slices.Clone(spec.Ports))}
	}
	b := &Backends{ports: ports, list: make([]backend, 0, len(spec.Endpoints))}
	at := map[*locality]uint16{}
	for i := range spec.Endpoints {
		if e := &spec.Endpoints[i]; !e.Further {
			b.list = append(b.list, backend{addr: e.Addr, state: e.state(), place: b.placed(w.locality(e.Place), at)})
		}
	}
	if len(b.list) == 0 {
		return nil
	}
	b.list = slices.Clip(b.list)
	b.sort()
	b.renumber()
	return b
}

func (e *EndpointSpec) state() (s backendState) {
	if e.Unready {
		s |= unready
	}
	if e.Unserving {
		s |= unserving
	}
	if e.Terminating {
		s |= terminating
	}
	return s
}

// mergeBackends is the union of a service's slices; the common case of one slice costs nothing.
func mergeBackends(parts []part) *Backends {
	var filled []*Backends
	total := 0
	for _, p := range parts {
		if p.backends != nil {
			filled, total = append(filled, p.backends), total+len(p.backends.list)
		}
	}
	switch len(filled) {
	case 0:
		return nil
	case 1:
		return filled[0]
	}
	b := &Backends{list: make([]backend, 0, total)}
	at := map[*locality]uint16{}
	for _, p := range filled {
		ports := b.portsSet(p.ports[0])
		for _, e := range p.list {
			e.ports, e.place = ports, b.placed(p.places[e.place], at)
			b.list = append(b.list, e)
		}
	}
	b.sort()
	return b
}

// placed is the index of a place, added when it is new. Past 65,535 places the rest is nowhere.
func (b *Backends) placed(p *locality, at map[*locality]uint16) uint16 {
	i, ok := at[p]
	switch {
	case ok:
		return i
	case len(b.places) > math.MaxUint16:
		return math.MaxUint16
	case len(b.places) == math.MaxUint16:
		p = &locality{}
	}
	i = uint16(len(b.places))
	b.places = append(b.places, p)
	at[p] = i
	return i
}

// portsSet is the index of the set equal to ports, added when it is new. Past 65,535 sets the rest has no ports.
func (b *Backends) portsSet(ports []Port) uint16 {
	for i, have := range b.ports {
		if slices.Equal(have, ports) {
			return uint16(i)
		}
	}
	if len(b.ports) > math.MaxUint16 {
		return math.MaxUint16
	}
	if len(b.ports) == math.MaxUint16 {
		ports = nil
	}
	b.ports = append(b.ports, ports)
	return uint16(len(b.ports) - 1)
}

func (b *Backends) sort() {
	slices.SortFunc(b.list, func(x, y backend) int {
		return cmp.Or(bytes.Compare(x.addr[:], y.addr[:]), cmp.Compare(x.state, y.state),
			strings.Compare(b.places[x.place].key, b.places[y.place].key), cmp.Compare(x.ports, y.ports))
	})
}

// renumber puts the places in the order of the list, so that a slice whose endpoints came in another order is the same.
func (b *Backends) renumber() {
	old := b.places
	b.places = make([]*locality, 0, len(old))
	at := make(map[*locality]uint16, len(old))
	for i := range b.list {
		e := &b.list[i]
		e.place = b.placed(old[e.place], at)
	}
}

func sameBackends(a, b *Backends) bool {
	if a == nil || b == nil {
		return a == b
	}
	return slices.Equal(a.list, b.list) &&
		slices.EqualFunc(a.ports, b.ports, func(x, y []Port) bool { return slices.Equal(x, y) }) &&
		slices.EqualFunc(a.places, b.places, func(x, y *locality) bool { return x.key == y.key })
}

// locality is the one that is like p.
func (w *Writer) locality(p *Place) *locality {
	if p == nil {
		p = &Place{}
	}
	key := append(w.localityKey[:0], p.Node...)
	key = append(append(key, 0), p.Zone...)
	for _, node := range p.ForNodes {
		key = append(append(key, 1), node...)
	}
	for _, zone := range p.ForZones {
		key = append(append(key, 2), zone...)
	}
	w.localityKey = key
	if have := w.localities[string(key)]; have != nil {
		return have
	}
	const enough = 100_000
	if len(w.localities) >= enough { // of nodes that are gone, for the most part: what is in use stays where it is
		clear(w.localities)
	}
	fresh := &locality{key: string(key), Place: Place{Node: p.Node, Zone: w.intern(p.Zone)}}
	for _, node := range p.ForNodes {
		fresh.ForNodes = append(fresh.ForNodes, w.intern(node))
	}
	for _, zone := range p.ForZones {
		fresh.ForZones = append(fresh.ForZones, w.intern(zone))
	}
	w.localities[fresh.key] = fresh
	return fresh
}
