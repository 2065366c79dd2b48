package cluster

import (
	"fmt"
	"slices"
)

// guests are the kinds that names of services and pods do without: a missing right to one must not cost them. Whoever needs
// it asks Store.Listed.
const guests = 1<<KindNode | 1<<KindServiceImport | 1<<KindIngress | 1<<KindGateway | 1<<KindHTTPRoute

// Expect names the kinds that a source will list. The Store is synced when each that names need was listed once.
func (w *Writer) Expect(source string, kinds ...Kind) {
	st := w.store.status
	st.mu.Lock()
	defer st.mu.Unlock()
	st.source = source
	st.expected = 0
	for _, k := range kinds {
		st.expected |= 1 << k
	}
	st.waiting.Store(st.expected)
	w.store.synced.Store(st.expected&^guests == 0)
}

// BeginList says that all objects of a kind follow. What is not put again before EndList is deleted then; until then
// everything stays as it is, so a reader never sees a half-listed cluster.
func (w *Writer) BeginList(kind Kind) {
	w.mu.Lock()
	w.generation[kind]++
	w.mu.Unlock()
	w.imports.beginList(kind)
}

// EndList ends a list that BeginList began.
func (w *Writer) EndList(kind Kind) {
	w.mu.Lock()
	w.event()
	w.sweep(kind)
	w.mu.Unlock()
	w.imports.endList(kind)

	st := w.store.status
	st.mu.Lock()
	defer st.mu.Unlock()
	waiting := st.waiting.Load()
	if st.expected&^waiting&(1<<kind) != 0 {
		st.relists.Add(1)
	}
	waiting &^= 1 << kind
	st.waiting.Store(waiting)
	if waiting&^guests == 0 {
		w.store.synced.Store(true)
	}
}

// sweep deletes what the list that just ended did not name.
func (w *Writer) sweep(kind Kind) {
	current := w.generation[kind]
	switch kind {
	case KindService:
		for _, state := range w.states {
			if state.generation != current {
				w.dropService(state)
			}
		}
	case KindEndpointSlice:
		for id, s := range w.slices {
			if s.generation != current {
				w.dropSlice(id, s)
			}
		}
	case KindNamespace:
		for key, generation := range w.namespaces {
			if generation != current {
				w.dropNamespace(key)
			}
		}
	case KindPod:
		for id, p := range w.pods {
			if p.generation != current {
				w.dropPod(id, p)
			}
		}
	case KindNode:
		if w.nodeSeen != current {
			w.dropNode()
		}
	case KindIngress, KindGateway, KindHTTPRoute:
		w.sweepHosts(kind)
	}
}

// Alive notes that the source heard from its cluster though nothing changed: a bookmark, a look at unchanged files.
func (w *Writer) Alive() { w.event() }

// Fail says why the source does not follow its cluster now; an empty text that it does again. The result is false when
// that was known.
func (w *Writer) Fail(format string, args ...any) bool {
	text := ""
	if format != "" {
		text = fmt.Sprintf(format, args...)
	}
	st := w.store.status
	st.mu.Lock()
	defer st.mu.Unlock()
	news := st.failure != text
	st.failure = text
	return news
}

// Skip counts an object, or a part of one, that broke a rule and was left out.
func (w *Writer) Skip() { w.store.status.skipped.Add(1) }

// PutPod adds or replaces a running pod.
func (w *Writer) PutPod(spec *PodSpec) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.event()
	id := objectKey{w.intern(spec.Namespace), spec.Name}
	old, known := w.pods[id]
	state := podState{addrs: spec.Addrs, labels: w.intern(packLabels(spec.Labels)), generation: w.generation[KindPod]}
	w.pods[id] = state
	if !known {
		w.store.status.objects[KindPod].Add(1)
	} else if slices.Equal(old.addrs, spec.Addrs) && old.labels == state.labels {
		return
	}
	for _, a := range spec.Addrs {
		w.linkPod(id, a, state.labels)
	}
	w.unlinkPod(id, slices.DeleteFunc(slices.Clone(old.addrs), func(a Addr) bool { return slices.Contains(spec.Addrs, a) }))
	w.store.touch(w.now())
	w.notify(Change{Kind: KindPod})
}

// KeepPod marks a pod as still there, as it was; one that is not known stays unknown. It is for a pod that is being
// deleted: it has its address until its containers have ended, and then it goes.
func (w *Writer) KeepPod(namespace, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.event()
	id := objectKey{namespace, name}
	if p, ok := w.pods[id]; ok {
		p.generation = w.generation[KindPod]
		w.pods[id] = p
	}
}

// DeletePod removes a pod.
func (w *Writer) DeletePod(namespace, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.event()
	id := objectKey{namespace, name}
	if p, ok := w.pods[id]; ok {
		w.dropPod(id, p)
	}
}

func (w *Writer) dropPod(id objectKey, p podState) {
	delete(w.pods, id)
	w.store.status.objects[KindPod].Add(-1)
	w.unlinkPod(id, p.addrs)
	w.store.touch(w.now())
	w.notify(Change{Kind: KindPod})
}

// linkPod puts a pod at the head of the chain at an address, unless it is in it with these labels.
func (w *Writer) linkPod(id objectKey, a Addr, labels string) {
	head := w.store.pods.get(a[:])
	for p := head; p != nil; p = p.next {
		if p.Namespace != id.namespace || p.Name != id.name {
			continue
		}
		if p.labels == labels {
			return
		}
		head = without(head, id)
		break
	}
	w.store.pods.put(&Pod{key: string(a[:]), Namespace: id.namespace, Name: id.name, labels: labels, next: head})
}

// without is a chain without one of its pods. It is made anew, as readers may walk the old one.
func without(head *Pod, id objectKey) (rest *Pod) {
	for p := head; p != nil; p = p.next {
		if p.Namespace != id.namespace || p.Name != id.name {
			rest = &Pod{key: p.key, Namespace: p.Namespace, Name: p.Name, labels: p.labels, next: rest}
		}
	}
	return rest
}

// unlinkPod takes a pod out of the chains at its addresses.
func (w *Writer) unlinkPod(id objectKey, addrs []Addr) {
	for _, a := range addrs {
		rest := without(w.store.pods.get(a[:]), id)
		if rest == nil {
			w.store.pods.delete(string(a[:]))
		} else {
			w.store.pods.put(rest)
		}
	}
}
