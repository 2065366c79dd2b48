package cluster

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Writer is the one way into a Store. Its methods may be called from several goroutines, one after the other takes
// effect; each is seen by readers whole or not at all.
type Writer struct {
	store *Store
	now   func() time.Time

	mu          sync.Mutex
	states      map[string]*serviceState // by service key
	slices      map[objectKey]sliceState
	namespaces  map[string]uint32 // generation by label
	pods        map[objectKey]podState
	generation  [kinds]uint32
	nextNumber  uint32
	freeNumbers []uint32
	watchers    map[int]func(Change)
	nextWatcher int
	interned    map[string]string
	hosts       hosts
	imports     imports
	imported    bool                 // this is the writer of another's imports
	localities  map[string]*locality // by key
	localityKey []byte               // memory used again
	nodeSeen    uint32               // generation of the node
}

// objectKey is the identity of a namespaced object.
type objectKey struct{ namespace, name string }

// serviceState is what the writer knows beside the record that readers see.
type serviceState struct {
	record     *Service
	generation uint32
	parts      []part // by endpoint slice
}

type part struct {
	slice     string
	endpoints *Endpoints
	backends  *Backends
}

type sliceState struct {
	service    string // key
	generation uint32
}

type podState struct {
	addrs      []Addr
	labels     string
	generation uint32
}

func newWriter(s *Store) *Writer {
	return &Writer{
		store:      s,
		now:        time.Now,
		states:     map[string]*serviceState{},
		slices:     map[objectKey]sliceState{},
		namespaces: map[string]uint32{},
		pods:       map[objectKey]podState{},
		watchers:   map[int]func(Change){},
		interned:   map[string]string{},
		hosts:      newHosts(),
		localities: map[string]*locality{},
	}
}

// Watch calls notify after every change, on the writer's goroutine: it must not block, nor call the Writer. The
// function returned ends it.
func (w *Writer) Watch(notify func(Change)) (cancel func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := w.nextWatcher
	w.nextWatcher++
	w.watchers[id] = notify
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.watchers, id)
	}
}

// SetClock replaces the clock by which serials and the age of events go.
func (w *Writer) SetClock(now func() time.Time) {
	w.now = now
	if w.imports.writer != nil {
		w.imports.writer.now = now
	}
}

// Intern is s, kept once for all callers: namespaces and port names come ten thousand times.
func (w *Writer) Intern(s string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.intern(s)
}

func (w *Writer) intern(s string) string {
	if have, ok := w.interned[s]; ok {
		return have
	}
	const enough = 10_000 // more different names than that are no repetition
	if len(w.interned) < enough {
		w.interned[s] = s
	}
	return s
}

// PutService adds or replaces a service. The result is false when its name or namespace cannot stand in a DNS name, so
// that it was left out.
func (w *Writer) PutService(spec *ServiceSpec) bool {
	key, ok := ServiceKey(spec.Namespace, spec.Name)
	if !ok {
		w.Skip()
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.event()
	state := w.state(key)
	state.generation = w.generation[KindService]
	if state.record.Type == Absent {
		w.count(KindService, 1)
	}
	next := *state.record
	next.Type, next.ClusterIPs, next.ExternalName, next.Ports = spec.Type, spec.ClusterIPs, spec.ExternalName, w.ports(spec.Ports)
	next.External, next.Forwarding = spec.External, spec.Forwarding
	if !sameService(state.record, &next) || !slices.Equal(state.record.External, next.External) || !sameForwarding(state.record.Forwarding, next.Forwarding) {
		w.swap(state, &next, Change{Kind: KindService})
	}
	return true
}

// Sharer is a service other than spec with the virtual IP addr, or nil. While services are listed anew, those that did
// not come yet don't count: their address may have been given to spec since.
func (w *Writer) Sharer(spec *ServiceSpec, addr Addr) *Service {
	key, _ := ServiceKey(spec.Namespace, spec.Name)
	w.mu.Lock()
	defer w.mu.Unlock()
	for holders := w.store.Holders(addr); ; {
		s := holders.Next()
		if s == nil {
			return nil
		}
		state := w.states[s.key]
		if s.key != key && state != nil && state.generation == w.generation[KindService] && s.HasClusterIP(addr) {
			return s
		}
	}
}

// DeleteService removes a service; its slices, if any are left, keep their reverse names until they go too.
func (w *Writer) DeleteService(namespace, name string) {
	key, ok := ServiceKey(namespace, name)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.event()
	if state := w.states[key]; state != nil {
		w.dropService(state)
	}
}

func (w *Writer) dropService(state *serviceState) {
	if state.record.Type == Absent {
		return
	}
	w.count(KindService, -1)
	next := *state.record
	next.Type, next.ClusterIPs, next.ExternalName, next.Ports = Absent, nil, "", nil
	next.External, next.Forwarding = nil, nil
	w.swap(state, &next, Change{Kind: KindService})
}

// PutSlice adds or replaces an endpoint slice. One without a service, or whose service's name cannot stand in a DNS
// name, is left out, and the result is false.
func (w *Writer) PutSlice(spec *SliceSpec) bool {
	if w.imports.putSlice(spec) && spec.Service == "" {
		w.deleteSlice(spec.Namespace, spec.Name)
		return true
	}
	id := objectKey{spec.Namespace, spec.Name}
	key, ok := ServiceKey(spec.Namespace, spec.Service)
	if !ok {
		w.Skip()
		w.deleteSlice(spec.Namespace, spec.Name)
		return false
	}
	endpoints := newEndpoints(spec)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.event()
	old, known := w.slices[id]
	if known && old.service != key { // the label was changed
		w.dropSlice(id, old)
		known = false
	}
	if !known {
		w.count(KindEndpointSlice, 1)
	}
	for _, ports := range endpoints.Ports {
		w.ports(ports)
	}
	fresh := part{slice: spec.Name, endpoints: endpoints, backends: w.newBackends(spec, endpoints)}
	state := w.state(key)
	key = state.record.key
	w.slices[objectKey{w.intern(spec.Namespace), spec.Name}] = sliceState{service: key, generation: w.generation[KindEndpointSlice]}
	w.refresh(state, state.setPart(fresh), Change{Kind: KindEndpointSlice, Trigger: spec.Trigger})
	return true
}

// DeleteSlice removes an endpoint slice.
func (w *Writer) DeleteSlice(namespace, name string) {
	w.imports.deleteSlice(namespace, name)
	w.deleteSlice(namespace, name)
}

func (w *Writer) deleteSlice(namespace, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.event()
	id := objectKey{namespace, name}
	if old, ok := w.slices[id]; ok {
		w.dropSlice(id, old)
	}
}

func (w *Writer) dropSlice(id objectKey, old sliceState) {
	delete(w.slices, id)
	w.count(KindEndpointSlice, -1)
	state := w.states[old.service]
	change := state.setPart(part{slice: id.name, endpoints: none})
	state.parts = slices.DeleteFunc(state.parts, func(p part) bool { return p.slice == id.name })
	w.refresh(state, change, Change{Kind: KindEndpointSlice})
}

// PutNamespace adds a namespace.
func (w *Writer) PutNamespace(name string) bool {
	key, ok := label(nil, name)
	if !ok {
		w.Skip()
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.event()
	_, known := w.namespaces[string(key)]
	w.namespaces[string(key)] = w.generation[KindNamespace]
	if !known {
		w.store.status.objects[KindNamespace].Add(1)
		w.store.namespaces.put(&namespace{key: string(key)})
		w.notify(Change{Kind: KindNamespace})
	}
	return true
}

// DeleteNamespace removes a namespace.
func (w *Writer) DeleteNamespace(name string) {
	key, ok := label(nil, name)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.event()
	if _, known := w.namespaces[string(key)]; known {
		w.dropNamespace(string(key))
	}
}

func (w *Writer) dropNamespace(key string) {
	delete(w.namespaces, key)
	w.store.status.objects[KindNamespace].Add(-1)
	w.store.namespaces.delete(key)
	w.notify(Change{Kind: KindNamespace})
}

// state is the writer's state of a service, made when it is new.
func (w *Writer) state(key string) *serviceState {
	if s := w.states[key]; s != nil {
		return s
	}
	s := &serviceState{record: &Service{key: key, id: w.takeNumber(), Endpoints: none}}
	w.states[key] = s
	return s
}

// difference is what a slice changed: what names are made of, what virtual IPs are.
type difference struct{ endpoints, backends bool }

// setPart sets what one slice contributes.
func (s *serviceState) setPart(fresh part) difference {
	for i := range s.parts {
		if p := &s.parts[i]; p.slice == fresh.slice {
			d := difference{endpoints: !sameEndpoints(p.endpoints, fresh.endpoints), backends: !sameBackends(p.backends, fresh.backends)}
			if d.endpoints {
				p.endpoints = fresh.endpoints
			}
			if d.backends {
				p.backends = fresh.backends
			}
			return d
		}
	}
	s.parts = append(s.parts, fresh)
	return difference{endpoints: len(fresh.endpoints.List) > 0, backends: fresh.backends != nil}
}

// refresh merges anew what slices changed, and swaps the record. What did not change stays the same one, so that
// readers can tell.
func (w *Writer) refresh(state *serviceState, d difference, change Change) {
	next := *state.record
	if d.endpoints {
		parts := make([]*Endpoints, len(state.parts))
		for i, p := range state.parts {
			parts[i] = p.endpoints
		}
		next.Endpoints = merge(parts)
	}
	if d.backends {
		next.Backends = mergeBackends(state.parts)
	}
	if d != (difference{}) {
		w.swap(state, &next, change)
	} else if len(state.parts) == 0 && next.Type == Absent {
		w.forget(state)
	}
}

// swap puts next in the place of the record, reverse names first to come and last to go.
func (w *Writer) swap(state *serviceState, next *Service, change Change) {
	s, old := w.store, state.record
	var gone map[Addr]struct{}
	if !sameAddresses(old, next) {
		gone = addressSet(old)
		for addr := range addressSet(next) {
			if _, had := gone[addr]; had {
				delete(gone, addr)
				continue
			}
			s.addresses.add(addr, next.id)
		}
	}
	state.record = next
	w.number(next.id).Store(next)
	s.services.put(next)
	for addr := range gone {
		s.addresses.remove(addr, next.id)
	}
	s.touchService(w.now(), old, next)
	change.Service, change.ForwardingOnly = next, sameAddresses(old, next) && sameService(old, next)
	w.notify(change)
	if next.Type == Absent && len(state.parts) == 0 {
		w.forget(state)
	}
}

func (w *Writer) forget(state *serviceState) {
	key, id := state.record.key, state.record.id
	delete(w.states, key)
	w.store.services.delete(key)
	w.number(id).Store(nil)
	w.freeNumbers = append(w.freeNumbers, id)
}

// sameAddresses tells that two records are found by the same addresses, for sure.
func sameAddresses(a, b *Service) bool {
	return a.Endpoints == b.Endpoints && slices.Equal(a.ClusterIPs, b.ClusterIPs) && slices.Equal(a.External, b.External)
}

func addressSet(s *Service) map[Addr]struct{} {
	set := make(map[Addr]struct{}, len(s.ClusterIPs)+len(s.External)+len(s.Endpoints.List))
	for _, a := range s.ClusterIPs {
		set[a] = struct{}{}
	}
	for i := range s.External {
		if e := &s.External[i]; e.Name == "" {
			set[e.Addr] = struct{}{}
		}
	}
	for i := range s.Endpoints.List {
		set[s.Endpoints.List[i].Addr] = struct{}{}
	}
	return set
}

func (w *Writer) takeNumber() uint32 {
	if n := len(w.freeNumbers); n > 0 {
		id := w.freeNumbers[n-1]
		w.freeNumbers = w.freeNumbers[:n-1]
		return id
	}
	w.nextNumber++
	numbers := *w.store.numbers.Load()
	if int(w.nextNumber) >= len(numbers) {
		wider := make([]atomic.Pointer[Service], 2*len(numbers))
		for i := range numbers {
			wider[i].Store(numbers[i].Load())
		}
		w.store.numbers.Store(&wider)
	}
	return w.nextNumber
}

func (w *Writer) number(id uint32) *atomic.Pointer[Service] { return &(*w.store.numbers.Load())[id] }

func (w *Writer) notify(c Change) {
	for _, notify := range w.watchers {
		notify(c)
	}
}

// count counts objects of a kind. Of imports only the services are: their slices may be services' too.
func (w *Writer) count(kind Kind, n int64) {
	if w.imported && kind != KindService {
		return
	}
	if w.imported {
		kind = KindServiceImport
	}
	w.store.status.objects[kind].Add(n)
}

// event notes that the source is alive.
func (w *Writer) event() { w.store.status.lastEvent.Store(w.now().UnixNano()) }

// ports interns the names in place.
func (w *Writer) ports(ports []Port) []Port {
	for i := range ports {
		ports[i].Name = w.intern(ports[i].Name)
	}
	return ports
}

func sameService(a, b *Service) bool {
	return a.Type == b.Type && a.ExternalName == b.ExternalName &&
		slices.Equal(a.ClusterIPs, b.ClusterIPs) && slices.Equal(a.Ports, b.Ports)
}

func sameEndpoints(a, b *Endpoints) bool {
	return a.text == b.text && slices.Equal(a.List, b.List) &&
		slices.EqualFunc(a.Ports, b.Ports, func(x, y []Port) bool { return slices.Equal(x, y) })
}
