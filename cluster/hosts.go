package cluster

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// HostSpec is what a source hands over of an Ingress, a Gateway or an HTTPRoute: host names, and where they lead.
type HostSpec struct {
	Kind            Kind
	Namespace, Name string
	// Hosts are names, or "*.name". A Gateway's listener without one has an empty name, which stands for all.
	Hosts    []HostRule
	External []External // status: load balancers, or a Gateway's addresses; an HTTPRoute has its parents'
	Parents  []Parent   // Gateways that have accepted an HTTPRoute
}

// HostRule is a host name, of a Gateway with the listener that has it.
type HostRule struct{ Name, Listener string }

// Parent is a Gateway, and one of its listeners; empty for all of them.
type Parent struct{ Namespace, Name, Listener string }

// Host is a host name of Ingresses and the like: an immutable record, swapped whole. One that only exists for the names
// below it has no parts.
type Host struct {
	key   string // wire form, lower-case
	Parts []HostPart
}

// Key is the host's name in wire form; the label "*" comes first in a wildcard (RFC 4592, section 2.1.1).
func (h *Host) Key() string { return h.key }

// HostPart is where the objects of one namespace lead a host.
type HostPart struct {
	Namespace string     // label in wire form
	External  []External // none while no load balancer has been given an address
}

// Host is the record of a name in wire form and lower case, or nil. Names above a host's have one, too, as they exist
// for its sake (RFC 4592, section 2.2.2).
func (s *Store) Host(name []byte) *Host { return s.hosts.get(name) }

// Hosts calls visit for every host. It is for slow paths.
func (s *Store) Hosts(visit func(*Host)) {
	s.hosts.each(func(h *Host) {
		if len(h.Parts) > 0 {
			visit(h)
		}
	})
}

// hosts is what the Writer knows of host names.
type hosts struct {
	objects map[hostObject]*hostState
	names   map[string]*hostName // by wire form
}

type hostObject struct {
	kind            Kind
	namespace, name string
}

type hostState struct {
	spec       *HostSpec
	keys       []string // of its names
	generation uint32
}

type hostName struct {
	objects []hostObject
	below   int // names for whose sake this one exists
}

func newHosts() hosts {
	return hosts{objects: map[hostObject]*hostState{}, names: map[string]*hostName{}}
}

// PutHosts adds or replaces the host names of an object. Names that cannot stand in DNS are left out and counted.
func (w *Writer) PutHosts(spec *HostSpec) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.event()
	id := hostObject{spec.Kind, spec.Namespace, spec.Name}
	old := w.hosts.objects[id]
	if old == nil {
		w.store.status.objects[spec.Kind].Add(1)
		old = &hostState{spec: &HostSpec{}}
	} else if sameHosts(old.spec, spec) {
		old.generation = w.generation[spec.Kind]
		return
	}
	next := &hostState{spec: spec, generation: w.generation[spec.Kind]}
	for _, rule := range spec.Hosts {
		key, ok := HostKey(rule.Name)
		if !ok && rule.Name != "" {
			w.Skip()
		}
		if ok && !slices.Contains(next.keys, key) {
			next.keys = append(next.keys, key)
		}
	}
	w.hosts.objects[id] = next
	w.changeHosts(id, old.keys, next.keys)
}

// DeleteHosts removes those of an object.
func (w *Writer) DeleteHosts(kind Kind, namespace, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.event()
	w.dropHosts(hostObject{kind, namespace, name})
}

func (w *Writer) dropHosts(id hostObject) {
	old := w.hosts.objects[id]
	if old == nil {
		return
	}
	w.store.status.objects[id.kind].Add(-1)
	delete(w.hosts.objects, id)
	w.changeHosts(id, old.keys, nil)
}

func (w *Writer) sweepHosts(kind Kind) {
	for id, state := range w.hosts.objects {
		if id.kind == kind && state.generation != w.generation[kind] {
			w.dropHosts(id)
		}
	}
}

// changeHosts gives an object's old names up and takes the new ones. Names to come are there before others go.
func (w *Writer) changeHosts(id hostObject, old, next []string) {
	for _, key := range next {
		if !slices.Contains(old, key) {
			w.claimHost(id, key)
		}
	}
	for _, key := range old {
		if !slices.Contains(next, key) {
			w.yieldHost(id, key)
		}
	}
	touched := slices.Concat(old, next)
	if id.kind == KindGateway {
		for _, state := range w.hosts.objects {
			if slices.ContainsFunc(state.spec.Parents, func(p Parent) bool { return p.Namespace == id.namespace && p.Name == id.name }) {
				touched = append(touched, state.keys...)
			}
		}
	}
	slices.Sort(touched)
	for _, key := range slices.Compact(touched) {
		w.refreshHost(key)
	}
	w.store.external.Store(uint32(w.now().Unix()))
}

func (w *Writer) claimHost(id hostObject, key string) {
	name := w.hostName(key)
	name.objects = append(name.objects, id)
	if len(name.objects) > 1 {
		return
	}
	for above := aboveHost(key); above != ""; above = aboveHost(above) {
		w.hostName(above).below++
		w.refreshHost(above)
	}
}

func (w *Writer) yieldHost(id hostObject, key string) {
	name := w.hostName(key)
	name.objects = slices.DeleteFunc(name.objects, func(o hostObject) bool { return o == id })
	if len(name.objects) > 0 {
		return
	}
	for above := aboveHost(key); above != ""; above = aboveHost(above) {
		w.hostName(above).below--
		w.refreshHost(above)
	}
}

func (w *Writer) hostName(key string) *hostName {
	if w.hosts.names[key] == nil {
		w.hosts.names[key] = &hostName{}
	}
	return w.hosts.names[key]
}

// refreshHost makes the record of a name anew, or removes it.
func (w *Writer) refreshHost(key string) {
	name := w.hosts.names[key]
	if name == nil {
		return
	}
	if len(name.objects) == 0 && name.below == 0 {
		delete(w.hosts.names, key)
		w.store.hosts.delete(key)
		return
	}
	next := &Host{key: key}
	for _, id := range name.objects {
		state := w.hosts.objects[id]
		namespace, ok := label(nil, id.namespace)
		if ok && state != nil { // else it is about to yield the name
			next.add(string(namespace), w.leads(state.spec, key))
		}
	}
	slices.SortFunc(next.Parts, func(a, b HostPart) int { return strings.Compare(a.Namespace, b.Namespace) })
	w.store.hosts.put(next)
}

// add adds what one object says to the part of its namespace.
func (h *Host) add(namespace string, external []External) {
	i := slices.IndexFunc(h.Parts, func(p HostPart) bool { return p.Namespace == namespace })
	if i < 0 {
		i, h.Parts = len(h.Parts), append(h.Parts, HostPart{Namespace: namespace})
	}
	for _, e := range external {
		if !slices.Contains(h.Parts[i].External, e) {
			h.Parts[i].External = append(h.Parts[i].External, e)
		}
	}
	slices.SortFunc(h.Parts[i].External, func(a, b External) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), bytes.Compare(a.Addr[:], b.Addr[:]))
	})
}

// leads is where an object leads one of its names: an HTTPRoute to its Gateways, as far as their listeners are for it.
func (w *Writer) leads(spec *HostSpec, key string) []External {
	external := slices.Clone(spec.External)
	for _, p := range spec.Parents {
		gateway := w.hosts.objects[hostObject{KindGateway, p.Namespace, p.Name}]
		if gateway == nil {
			continue
		}
		for _, rule := range gateway.spec.Hosts {
			if (p.Listener == "" || p.Listener == rule.Listener) && rule.takes(key) {
				external = append(external, gateway.spec.External...)
				break
			}
		}
	}
	return external
}

// takes tells whether a listener's host name is for a route's: the same, or one of the two a wildcard that covers the other
// (Gateway API, HTTPRouteSpec.hostnames).
func (r HostRule) takes(key string) bool {
	own, ok := HostKey(r.Name)
	return r.Name == "" || ok && (own == key || covers(own, key) || covers(key, own))
}

func covers(wildcard, key string) bool {
	return strings.HasPrefix(wildcard, wild) && strings.HasSuffix(key, wildcard[len(wild):]) && len(key) > len(wildcard)-len(wild)
}

const (
	wild    = "\x01*"
	maxName = 255 // RFC 1035, section 2.3.4
)

// HostKey is a host's name, or "*." and a name, in wire form and lower case; ok is false when it cannot be that.
func HostKey(name string) (key string, ok bool) {
	b := make([]byte, 0, len(name)+2)
	for i, part := range strings.Split(strings.TrimSuffix(name, "."), ".") {
		if b, ok = label(b, part); !ok || i > 0 && part == "*" {
			return "", false
		}
	}
	b = append(b, 0)
	return string(b), len(b) <= maxName
}

// aboveHost is the name above; empty for the root.
func aboveHost(key string) string {
	if above := key[1+int(key[0]):]; len(above) > 1 {
		return above
	}
	return ""
}

func sameHosts(a, b *HostSpec) bool {
	return slices.Equal(a.Hosts, b.Hosts) && slices.Equal(a.External, b.External) && slices.Equal(a.Parents, b.Parents)
}
