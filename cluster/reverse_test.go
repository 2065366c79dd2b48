package cluster

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

func numbered(n int) (a Addr) {
	a[10], a[11] = 0xff, 0xff
	binary.BigEndian.PutUint32(a[12:], 10<<24|uint32(n))
	return a
}

// TestReverseIsASet does random additions and removals and compares all that a walk yields. The numbers are resolved by
// hand, as a store would.
func TestReverseIsASet(t *testing.T) {
	t.Parallel()
	type pair struct {
		addr Addr
		id   uint32
	}
	for seed := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, 2))
		r, model := newReverse(), map[pair]bool{}
		for range 20_000 {
			p := pair{numbered(random.IntN(300)), 1 + uint32(random.IntN(20))}
			if model[p] {
				r.remove(p.addr, p.id)
				delete(model, p)
			} else {
				r.add(p.addr, p.id)
				model[p] = true
			}
		}
		if r.live != len(model) {
			t.Fatalf("%d live, want %d", r.live, len(model))
		}
		slots := *r.slots.Load()
		for n := range 300 {
			addr, found := numbered(n), map[uint32]bool{}
			_, start := r.entry(addr, 1)
			for i := start; slots[i&uint64(len(slots)-1)].Load() != slotFree; i++ {
				if v := slots[i&uint64(len(slots)-1)].Load(); v != slotDeleted && v>>32 == start {
					found[uint32(v)] = true
				}
			}
			for id := range uint32(21) {
				if found[id] != model[pair{addr, id}] {
					t.Fatalf("%v of %d: found %v", addr, id, found[id])
				}
			}
		}
		r.remove(numbered(1000), 1) // never added
		if r.live != len(model) {
			t.Fatal("a removal of nothing counted")
		}
	}
}

func holders(s *Store, a Addr) (names []string) {
	h := s.Holders(a)
	for svc := h.Next(); svc != nil; svc = h.Next() {
		if svc.HasClusterIP(a) || len(svc.Endpoints.At(a)) > 0 {
			names = append(names, svc.String())
		}
	}
	return names
}

// TestReverseReaders: an address that a service has before and after every change is found at any moment, whatever else
// comes, goes, and makes the tables grow.
func TestReverseReaders(t *testing.T) {
	t.Parallel()
	s, w := NewStore()
	stays := numbered(1)
	put := func(name string, addrs ...Addr) {
		spec := SliceSpec{Namespace: "n", Name: name + "-1", Service: name}
		for _, a := range addrs {
			spec.Endpoints = append(spec.Endpoints, EndpointSpec{Addr: a})
		}
		w.PutSlice(&spec)
	}
	put("stays", stays)
	var done atomic.Bool
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for !done.Load() {
				found := 0
				for _, name := range holders(s, stays) {
					if name == "n/stays" {
						found++
					}
				}
				if found != 1 {
					t.Errorf("%v has %d holders n/stays", stays, found)
					return
				}
			}
		})
	}
	for i := range 1500 {
		put("stays", stays, numbered(10+i), numbered(20_000+i%7))
		put(fmt.Sprintf("other-%d", i%50), stays, numbered(50_000+i))
		if i%5 == 0 {
			w.DeleteSlice("n", fmt.Sprintf("other-%d-1", (i*3)%50))
		}
	}
	done.Store(true)
	readers.Wait()
	if n := len(*s.addresses.slots.Load()); n > 1024 {
		t.Errorf("%d slots for %d addresses", n, s.addresses.live)
	}
}

// TestPodReaders: the same of pods: neither a changing pod nor its neighbours at the address are ever missed.
func TestPodReaders(t *testing.T) {
	t.Parallel()
	s, w := NewStore()
	stays := numbered(1)
	w.PutPod(&PodSpec{Namespace: "n", Name: "stays", Addrs: []Addr{stays}})
	var done atomic.Bool
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for !done.Load() {
				found := 0
				for p := s.PodAt(stays); p != nil; p = p.Next() {
					if p.Name == "stays" {
						found++
					}
				}
				if found != 1 {
					t.Errorf("found %d times", found)
					return
				}
			}
		})
	}
	for i := range 2000 {
		w.PutPod(&PodSpec{Namespace: "n", Name: "stays", Addrs: []Addr{numbered(100 + i), stays}})
		w.PutPod(&PodSpec{Namespace: "n", Name: fmt.Sprint(i % 3), Addrs: []Addr{stays}})
		w.DeletePod("n", fmt.Sprint((i+1)%3))
	}
	done.Store(true)
	readers.Wait()
	if n := s.pods.live; n != 2 {
		t.Errorf("%d addresses have pods, want 2", n)
	}
}
