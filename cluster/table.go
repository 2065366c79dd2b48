package cluster

import (
	"hash/maphash"
	"sync/atomic"
)

// table maps keys in wire form to records. It is open-addressed with linear probing: one writer at a time, any number
// of readers without a lock. A slot's hash, once set, stays until the whole array is replaced, so a reader that races
// with a writer sees the record before or the record after, never another.
type table[T any] struct {
	seed  maphash.Seed
	key   func(*T) string
	slots atomic.Pointer[[]slot[T]]
	used  int // slots with a hash, live or deleted; the writer's
	live  int
}

type slot[T any] struct {
	hash   atomic.Uint64 // 0: never used, the probe ends here
	record atomic.Pointer[T]
}

const smallest = 64

func newTable[T any](key func(*T) string) *table[T] {
	t := &table[T]{seed: maphash.MakeSeed(), key: key}
	slots := make([]slot[T], smallest)
	t.slots.Store(&slots)
	return t
}

func (t *table[T]) get(key []byte) *T {
	hash := maphash.Bytes(t.seed, key) | 1
	slots := *t.slots.Load()
	for i := hash >> 1; ; i++ {
		s := &slots[i&uint64(len(slots)-1)]
		switch s.hash.Load() {
		case 0:
			return nil
		case hash:
			if r := s.record.Load(); r != nil && t.key(r) == string(key) {
				return r
			}
		}
	}
}

// put stores r under its key.
func (t *table[T]) put(r *T) {
	key := t.key(r)
	hash := maphash.String(t.seed, key) | 1
	if s := t.find(hash, key); s != nil {
		s.record.Store(r)
		return
	}
	if slots := *t.slots.Load(); (t.used+1)*2 > len(slots) {
		t.grow()
	}
	insert(*t.slots.Load(), hash, r)
	t.used++
	t.live++
}

func (t *table[T]) delete(key string) {
	if s := t.find(maphash.String(t.seed, key)|1, key); s != nil {
		s.record.Store(nil)
		t.live--
	}
}

func (t *table[T]) find(hash uint64, key string) *slot[T] {
	slots := *t.slots.Load()
	for i := hash >> 1; ; i++ {
		s := &slots[i&uint64(len(slots)-1)]
		switch s.hash.Load() {
		case 0:
			return nil
		case hash:
			if r := s.record.Load(); r != nil && t.key(r) == key {
				return s
			}
		}
	}
}

// grow makes room for twice what lives, and thereby forgets what was deleted.
func (t *table[T]) grow() {
	size := smallest
	for size < (t.live+1)*4 {
		size *= 2
	}
	fresh := make([]slot[T], size)
	old := *t.slots.Load()
	for i := range old {
		if r := old[i].record.Load(); r != nil {
			insert(fresh, old[i].hash.Load(), r)
		}
	}
	t.used = t.live
	t.slots.Store(&fresh)
}

// insert sets the record before the hash: a reader that sees the hash sees the record.
func insert[T any](slots []slot[T], hash uint64, r *T) {
	for i := hash >> 1; ; i++ {
		s := &slots[i&uint64(len(slots)-1)]
		if s.hash.Load() == 0 {
			s.record.Store(r)
			s.hash.Store(hash)
			return
		}
	}
}

// each calls visit for every record.
func (t *table[T]) each(visit func(*T)) {
	slots := *t.slots.Load()
	for i := range slots {
		if r := slots[i].record.Load(); r != nil {
			visit(r)
		}
	}
}
