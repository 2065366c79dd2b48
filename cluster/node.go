package cluster

import "slices"

// PutNode sets the node that Needs.Node names. The Store keeps it: it is not to be changed.
func (w *Writer) PutNode(n *Node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.event()
	w.nodeSeen = w.generation[KindNode]
	old := w.store.node.Load()
	if sameNode(old, n) {
		return
	}
	if old == nil {
		w.store.status.objects[KindNode].Add(1)
	}
	w.store.node.Store(n)
	w.notify(Change{Kind: KindNode})
}

// DeleteNode removes the node.
func (w *Writer) DeleteNode(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.event()
	if n := w.store.node.Load(); n != nil && n.Name == name {
		w.dropNode()
	}
}

func (w *Writer) dropNode() {
	if w.store.node.Swap(nil) == nil {
		return
	}
	w.store.status.objects[KindNode].Add(-1)
	w.notify(Change{Kind: KindNode})
}

func sameNode(a, b *Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Name == b.Name && a.Zone == b.Zone && a.Leaving == b.Leaving && slices.Equal(a.Addrs, b.Addrs)
}

// PickNodeAddrs chooses among a node's addresses by their type: for each family those of type InternalIP or, where it
// has none, ExternalIP.
func PickNodeAddrs(internal, external []Addr) []Addr {
	picked := slices.Clone(internal)
	for _, four := range []bool{true, false} {
		family := func(a Addr) bool { return a.Is4() == four }
		if slices.ContainsFunc(internal, family) {
			continue
		}
		for _, a := range external {
			if family(a) {
				picked = append(picked, a)
			}
		}
	}
	return picked
}
