package cluster

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// TestSynced: the Store is synced when every expected kind was listed once, and stays so.
func TestSynced(t *testing.T) {
	t.Parallel()
	s, w := NewStore()
	w.Expect("test", KindService, KindNamespace)
	for _, kind := range []Kind{KindService, KindPod} { // the latter is not expected
		w.BeginList(kind)
		w.EndList(kind)
	}
	if st := s.Status(); st.Synced || s.Synced() || !slices.Equal(st.Waiting, []Kind{KindNamespace}) || st.Source != "test" {
		t.Errorf("before the last list: %+v", st)
	}
	w.BeginList(KindNamespace)
	w.EndList(KindNamespace)
	if st := s.Status(); !st.Synced || st.Waiting != nil || st.Relists != 0 {
		t.Errorf("after it: %+v", st)
	}
	w.BeginList(KindService)
	w.Fail("%s is away", "server")
	if !s.Synced() {
		t.Error("a relist turned the store unsynced")
	}
	w.EndList(KindService)
	if st := s.Status(); st.Relists != 1 || st.Failure != "server is away" {
		t.Errorf("after a relist: %+v", st)
	}
	if w.Fail("server is away") || !w.Fail("") || w.Fail("") {
		t.Error("Fail tells news wrongly")
	}
}

// TestRelist: what a list does not name is deleted at its end, and not before; what came between, stays.
func TestRelist(t *testing.T) {
	t.Parallel()
	s, w := NewStore()
	fill := func(names ...string) {
		for i, name := range names {
			w.PutNamespace(name)
			w.PutService(&ServiceSpec{Namespace: "n", Name: name, Type: Headless})
			w.PutSlice(sliceOf(name, name, numbered(i)))
			w.PutPod(&PodSpec{Namespace: "n", Name: name, Addrs: []Addr{numbered(100 + i)}})
		}
	}
	fill("a", "b", "c")
	for _, kind := range Kinds() {
		w.BeginList(kind)
	}
	fill("a", "d")
	if got := s.Status().Objects; got != [9]int{4, 4, 4, 4} {
		t.Errorf("within the list: %v", got)
	}
	w.DeleteService("n", "d") // an event that came between
	for _, kind := range Kinds() {
		w.EndList(kind)
	}
	if got := s.Status().Objects; got != [9]int{1, 2, 2, 2} {
		t.Errorf("after the list: %v", got)
	}
	if s.Service(key(t, "n", "a")) == nil || s.Service(key(t, "n", "b")) != nil || s.HasNamespace([]byte("\x01b")) || !s.HasNamespace([]byte("\x01d")) {
		t.Error("the wrong ones stayed")
	}
	if len(holders(s, numbered(2))) != 0 || s.PodAt(numbered(102)) != nil {
		t.Error("addresses of what went are still found")
	}
	var visited []string
	s.Services(func(svc *Service) { visited = append(visited, svc.String()) })
	if !slices.Equal(visited, []string{"n/a"}) {
		t.Errorf("visited %v", visited)
	}
	for _, kind := range Kinds() {
		w.BeginList(kind)
		w.EndList(kind)
	}
	if got := s.Status().Objects; got != [9]int{} || s.services.live+s.namespaces.live+s.pods.live+s.addresses.live+len(w.states) != 0 {
		t.Errorf("an empty list left %v", got)
	}
}

// TestRelistReaders: readers see no gap while relists run.
func TestRelistReaders(t *testing.T) {
	t.Parallel()
	const services = 100
	s, w := NewStore()
	list := func(extra int) {
		for _, kind := range Kinds() {
			w.BeginList(kind)
		}
		for i := range services + extra {
			name := fmt.Sprint("s", i)
			w.PutService(&ServiceSpec{Namespace: "n", Name: name, Type: ClusterIP, ClusterIPs: []Addr{numbered(i)}})
			w.PutSlice(sliceOf(name, name, numbered(1000+i)))
		}
		for _, kind := range Kinds() {
			w.EndList(kind)
		}
	}
	list(0)
	keys := make([][]byte, services)
	for i := range keys {
		keys[i] = key(t, "n", fmt.Sprint("s", i))
	}
	var done atomic.Bool
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for i := 0; !done.Load(); i = (i + 1) % services {
				svc := s.Service(keys[i])
				if svc == nil || len(svc.Endpoints.List) != 1 || len(holders(s, numbered(i))) != 1 || len(holders(s, numbered(1000+i))) != 1 {
					t.Errorf("service %d: %v", i, svc)
					return
				}
			}
		})
	}
	for i := range 100 {
		list(i % 3 * 200)
	}
	done.Store(true)
	readers.Wait()
}

// TestKeepPod: a list that keeps a pod does not end it; one that is not known stays unknown.
func TestKeepPod(t *testing.T) {
	t.Parallel()
	s, w := NewStore()
	w.PutPod(&PodSpec{Namespace: "n", Name: "kept", Addrs: []Addr{numbered(1)}})
	w.PutPod(&PodSpec{Namespace: "n", Name: "gone", Addrs: []Addr{numbered(2)}})
	w.BeginList(KindPod)
	w.KeepPod("n", "kept")
	w.KeepPod("n", "stranger")
	w.EndList(KindPod)
	if s.PodAt(numbered(1)) == nil || s.PodAt(numbered(2)) != nil || s.Status().Objects[KindPod] != 1 {
		t.Errorf("kept %v, gone %v, %v", s.PodAt(numbered(1)), s.PodAt(numbered(2)), s.Status())
	}
}

// A right that only the forwarder needs must not cost names, but the forwarder can tell.
func TestListedWithoutNode(t *testing.T) {
	t.Parallel()
	s, w := NewStore()
	if s.Synced() {
		t.Error("synced before anything was expected")
	}
	w.Expect("test", KindService, KindNode)
	if s.Listed(KindNode) || !s.Listed(KindPod) || s.Synced() {
		t.Errorf("nodes %v, pods %v, synced %v", s.Listed(KindNode), s.Listed(KindPod), s.Synced())
	}
	w.BeginList(KindService)
	w.EndList(KindService)
	if st := s.Status(); !s.Synced() || s.Listed(KindService, KindNode) || !slices.Equal(st.Waiting, []Kind{KindNode}) {
		t.Errorf("synced %v, waiting for %v", s.Synced(), st.Waiting)
	}
	w.BeginList(KindNode)
	w.EndList(KindNode)
	if !s.Listed(KindService, KindNode) {
		t.Error("nodes are not listed")
	}
}
