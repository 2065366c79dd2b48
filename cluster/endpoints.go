package cluster

import (
	"bytes"
	"cmp"
	"slices"
	"sort"
	"strings"
)

// Endpoint is one ready address of a service: 28 bytes without a pointer.
type Endpoint struct {
	Addr     Addr
	nameAt   uint32
	zoneAt   uint32
	nameLen  uint8
	zoneLen  uint8
	podName  bool
	PortsSet uint8 // index into Endpoints.Ports
}

// Endpoints are a service's ready endpoints, merged over its slices, sorted by address and then name. It is immutable.
type Endpoints struct {
	// Ports are the sets of ports that occur in the slices; an Endpoint names its own by index. A slice without ports
	// has an empty set.
	Ports  [][]Port
	List   []Endpoint
	text   string   // names and zones, end to end
	byName []uint32 // indices of named endpoints, sorted by name; nil when there is none
}

var none = &Endpoints{}

// Name is the endpoint's own label: its hostname or, when podNames is wanted, its pod's name; empty when it goes by
// its address.
func (s *Endpoints) Name(e *Endpoint, podNames bool) string {
	if e.nameLen == 0 || e.podName && !podNames {
		return ""
	}
	return s.ownName(e)
}

// AppendLabel appends the endpoint's own label in wire form: its name or, where it has none, its address with dashes.
func (s *Endpoints) AppendLabel(b []byte, e *Endpoint, podNames bool) []byte {
	at := len(b)
	b = append(b, 0)
	if name := s.Name(e, podNames); name != "" {
		b = append(b, name...)
	} else {
		b = e.Addr.AppendDashed(b)
	}
	b[at] = byte(len(b) - at - 1)
	return b
}

// Zone is the endpoint's topology zone in lower case, or empty. An imported service has the cluster's name there.
func (s *Endpoints) Zone(e *Endpoint) string {
	return s.text[e.zoneAt : e.zoneAt+uint32(e.zoneLen)]
}

// At are the endpoints with this address: more than one when slices or ports name it more than once.
func (s *Endpoints) At(addr Addr) []Endpoint {
	from, to := s.Range(addr)
	return s.List[from:to]
}

// Range is the stretch [from, to) of List with this address.
func (s *Endpoints) Range(addr Addr) (from, to int) {
	from = sort.Search(len(s.List), func(i int) bool { return bytes.Compare(s.List[i].Addr[:], addr[:]) >= 0 })
	for to = from; to < len(s.List) && s.List[to].Addr == addr; {
		to++
	}
	return from, to
}

// Named are the indices in List of the endpoints whose hostname or pod name is label, in lower case.
func (s *Endpoints) Named(label []byte) []uint32 { return named(s, label) }

// NamedAs are the indices in List of the endpoints with e's hostname or pod name, e's own among them.
func (s *Endpoints) NamedAs(e *Endpoint) []uint32 { return named(s, s.ownName(e)) }

func (s *Endpoints) ownName(e *Endpoint) string { return s.text[e.nameAt : e.nameAt+uint32(e.nameLen)] }

func named[T string | []byte](s *Endpoints, label T) []uint32 {
	from := sort.Search(len(s.byName), func(i int) bool { return s.ownName(&s.List[s.byName[i]]) >= string(label) })
	to := from
	for to < len(s.byName) && s.ownName(&s.List[s.byName[to]]) == string(label) {
		to++
	}
	return s.byName[from:to]
}

// newEndpoints packs what one slice holds that is ready. Names that cannot be a label, because they are too long or have a dot (a pod
// may be called "web.0"), are left out, as a question cannot spell them: the endpoint goes by its address.
func newEndpoints(spec *SliceSpec) *Endpoints {
	ready := 0
	for i := range spec.Endpoints {
		if !spec.Endpoints[i].Unready {
			ready++
		}
	}
	if ready == 0 {
		return none
	}
	s := &Endpoints{Ports: [][]Port{slices.Clone(spec.Ports)}, List: make([]Endpoint, 0, ready)}
	var text strings.Builder
	intern := interner{text: &text, at: map[string]uint32{}}
	for i := range spec.Endpoints {
		e := &spec.Endpoints[i]
		if e.Unready {
			continue
		}
		packed := Endpoint{Addr: e.Addr}
		if len(e.Name) <= maxLabel && strings.IndexByte(e.Name, '.') < 0 {
			packed.nameAt, packed.nameLen, packed.podName = intern.add(e.Name), uint8(len(e.Name)), e.PodName
		}
		if len(e.Zone) <= maxLabel {
			packed.zoneAt, packed.zoneLen = intern.add(e.Zone), uint8(len(e.Zone))
		}
		s.List = append(s.List, packed)
	}
	s.text = text.String()
	s.index()
	return s
}

type interner struct {
	text *strings.Builder
	at   map[string]uint32
}

func (t *interner) add(s string) uint32 {
	if s == "" {
		return 0
	}
	s = strings.ToLower(s)
	at, ok := t.at[s]
	if !ok {
		at = uint32(t.text.Len())
		t.at[s] = at
		t.text.WriteString(s)
	}
	return at
}

// merge is the union of a service's slices; the common case of one slice costs nothing.
func merge(parts []*Endpoints) *Endpoints {
	filled := slices.DeleteFunc(slices.Clone(parts), func(p *Endpoints) bool { return len(p.List) == 0 })
	switch len(filled) {
	case 0:
		return none
	case 1:
		return filled[0]
	}
	s := &Endpoints{}
	var text strings.Builder
	for _, p := range filled {
		set := s.portsSet(p.Ports[0])
		base := uint32(text.Len())
		text.WriteString(p.text)
		for _, e := range p.List {
			e.nameAt, e.zoneAt, e.PortsSet = e.nameAt+base, e.zoneAt+base, set
			s.List = append(s.List, e)
		}
	}
	s.text = text.String()
	s.List = slices.Clip(s.List)
	s.index()
	return s
}

// portsSet is the index of the set equal to ports, added when there is none. Past 255 different sets the rest shares
// the last: slices of one service differ in ports only while a named target port is being changed.
func (s *Endpoints) portsSet(ports []Port) uint8 {
	for i, have := range s.Ports {
		if slices.Equal(have, ports) {
			return uint8(i)
		}
	}
	if len(s.Ports) == 256 {
		return 255
	}
	s.Ports = append(s.Ports, ports)
	return uint8(len(s.Ports) - 1)
}

func (s *Endpoints) index() {
	slices.SortFunc(s.List, func(a, b Endpoint) int {
		return cmp.Or(bytes.Compare(a.Addr[:], b.Addr[:]), strings.Compare(s.ownName(&a), s.ownName(&b)), cmp.Compare(a.PortsSet, b.PortsSet))
	})
	for i := range s.List {
		if s.List[i].nameLen > 0 {
			s.byName = append(s.byName, uint32(i))
		}
	}
	slices.SortStableFunc(s.byName, func(a, b uint32) int { return strings.Compare(s.ownName(&s.List[a]), s.ownName(&s.List[b])) })
	s.byName = slices.Clip(s.byName)
}
