package cluster

import (
	"hash/maphash"
	"sync/atomic"
)

// reverse maps an address to the services that have it, as virtual IP or as endpoint. A slot is the upper half of the
// address's hash and a service's number: 100,000 endpoints are a megabyte without a pointer. A hit is only a hint, which
// the reader proves on the service's own record; so a slot that lags behind the record is never a wrong answer, and the
// writer adds slots before, and removes them after, it swaps the record, so that none is ever missing.
type reverse struct {
	seed  maphash.Seed
	slots atomic.Pointer[[]atomic.Uint64]
	used  int
	live  int
}

const (
	slotFree    = 0
	slotDeleted = 1<<32 - 1 // a service number that is never given
)

func newReverse() *reverse {
	r := &reverse{seed: maphash.MakeSeed()}
	slots := make([]atomic.Uint64, smallest)
	r.slots.Store(&slots)
	return r
}

// entry is the slot's value for one address of service id. Numbers begin at 1.
func (r *reverse) entry(addr Addr, id uint32) (value, start uint64) {
	hash := maphash.Bytes(r.seed, addr[:])
	return hash&^(1<<32-1) | uint64(id), hash >> 32
}

func (r *reverse) add(addr Addr, id uint32) {
	if slots := *r.slots.Load(); (r.used+1)*2 > len(slots) {
		r.grow()
	}
	value, start := r.entry(addr, id)
	place(*r.slots.Load(), value, start)
	r.used++
	r.live++
}

func (r *reverse) remove(addr Addr, id uint32) {
	value, start := r.entry(addr, id)
	slots := *r.slots.Load()
	for i := start; ; i++ {
		s := &slots[i&uint64(len(slots)-1)]
		switch s.Load() {
		case slotFree:
			return
		case value:
			s.Store(slotDeleted)
			r.live--
			return
		}
	}
}

func (r *reverse) grow() {
	size := smallest
	for size < (r.live+1)*4 {
		size *= 2
	}
	fresh := make([]atomic.Uint64, size)
	old := *r.slots.Load()
	for i := range old {
		if v := old[i].Load(); v != slotFree && v != slotDeleted {
			place(fresh, v, v>>32)
		}
	}
	r.used = r.live
	r.slots.Store(&fresh)
}

func place(slots []atomic.Uint64, value, start uint64) {
	for i := start; ; i++ {
		if s := &slots[i&uint64(len(slots)-1)]; s.Load() == slotFree {
			s.Store(value)
			return
		}
	}
}

// Holders walks the services that have an address. It is a value: a walk allocates nothing.
type Holders struct {
	store *Store
	slots []atomic.Uint64
	mark  uint64
	at    uint64
}

// Next is the next service with the address, nil after the last. One that gave the address up a moment ago may still
// come; the caller looks at its ClusterIPs and Endpoints anyway.
func (h *Holders) Next() *Service {
	for {
		v := h.slots[h.at&uint64(len(h.slots)-1)].Load()
		if v == slotFree {
			return nil
		}
		h.at++
		if v != slotDeleted && v>>32 == h.mark {
			if s := h.store.byNumber(uint32(v)); s != nil {
				return s
			}
		}
	}
}

func (r *reverse) holders(store *Store, addr Addr) Holders {
	hash := maphash.Bytes(r.seed, addr[:])
	return Holders{store: store, slots: *r.slots.Load(), mark: hash >> 32, at: hash >> 32}
}
