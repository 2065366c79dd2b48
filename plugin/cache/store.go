package cache

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/nameplane/nameplane/server/wire"
)

const (
	shards = 256
	// leastShare is the number of entries of a class that a shard has room for however small the capacity, as in
	// CoreDNS.
	leastShare = 4
	// roomPerEntry is what an entry may take in bytes when all are counted together. Replies have some 200 bytes, and
	// items about as many beside them; only who asks for the largest replies there are fills a cache by this bound.
	roomPerEntry = 2048
	// mostBuckets bounds the table, 8 bytes each; beyond it chains grow longer.
	mostBuckets = 1 << 22
)

// store holds the replies of one cache directive: both classes, so that a miss is one look-up. Reading takes no lock: a
// bucket is a list that always can be walked to its end, whatever a writer does to it. A writer locks one shard, which
// has its own buckets, its own share of the capacities, and a ring of items for each class. What has to go is found as
// by CLOCK: the ring's hand passes over items that were hit since it came by last.
type store struct {
	seed    maphash.Seed
	buckets []atomic.Pointer[item]
	shares  [classes]int // entries of a shard
	room    int          // bytes of a shard
	entries [classes]atomic.Int64
	bytes   atomic.Int64
	shards  [shards]shard
}

type shard struct {
	mu    sync.Mutex
	rings [classes]ring // guarded by mu
	bytes int           // guarded by mu
}

type ring struct {
	items []*item
	hand  int
}

// newStore makes a store for so many entries, rounded as CoreDNS does.
func newStore(capacity [classes]int) *store {
	s := &store{seed: maphash.MakeSeed()}
	for c, n := range capacity {
		s.shares[c] = max(n/shards, leastShare)
		s.room += s.shares[c] * roomPerEntry
	}
	buckets := shards
	for buckets < mostBuckets && buckets < shards*(s.shares[positive]+s.shares[negative]) {
		buckets *= 2
	}
	s.buckets = make([]atomic.Pointer[item], buckets)
	return s
}

// key finds an item. It is compared together with the question in the item's image, so that two questions of one hash
// do not get each other's replies.
type key struct {
	hash   uint64
	dnssec uint8 // DO and CD: who sets them gets other records
}

// key is made of all that the reply may depend on. The seed is drawn at random, so that nobody can find names whose
// hashes collide.
func (s *store) key(q *wire.Query) key {
	k := key{}
	if q.EDNS.DO() {
		k.dnssec |= 1
	}
	if q.CD() {
		k.dnssec |= 2
	}
	const golden = 0x9e3779b97f4a7c15 // 2^64 over the golden ratio: spreads small numbers
	rest := uint64(q.Type) | uint64(q.Class)<<16 | uint64(k.dnssec)<<32
	k.hash = maphash.Bytes(s.seed, q.Name()) ^ (rest+1)*golden
	return k
}

// find is the items of a question, of either class; nil for none.
func (s *store) find(k key, q *wire.Query) (found [classes]*item) {
	for i := s.bucket(k).Load(); i != nil; i = i.next.Load() {
		if i.key == k && found[i.class] == nil && i.image.Answers(q) {
			found[i.class] = i
		}
	}
	return found
}

func (s *store) bucket(k key) *atomic.Pointer[item] {
	return &s.buckets[k.hash>>8&uint64(len(s.buckets)-1)]
}

// shard is the one that the key's bucket belongs to.
func (s *store) shard(k key) *shard { return &s.shards[k.hash>>8%shards] }

// put keeps an item in the place of the one of its class and question, and tells how many others had to go for it. What
// is too large for a shard is not kept.
func (s *store) put(i *item, q *wire.Query) (evicted [classes]int) {
	size := i.size()
	if size > s.room {
		return evicted
	}
	sh := s.shard(i.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	old := s.find(i.key, q)[i.class]
	s.link(sh, i, size)
	if old != nil {
		s.drop(sh, old)
	}
	for len(sh.rings[i.class].items) > s.shares[i.class] {
		s.drop(sh, sh.rings[i.class].victim(i))
		evicted[i.class]++
	}
	for sh.bytes > s.room {
		c := sh.fuller(s.shares, i.class)
		s.drop(sh, sh.rings[c].victim(i))
		evicted[c]++
	}
	return evicted
}

// remove forgets the item of a question and class.
func (s *store) remove(k key, q *wire.Query, c class) {
	sh := s.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if i := s.find(k, q)[c]; i != nil {
		s.drop(sh, i)
	}
}

func (s *store) link(sh *shard, i *item, size int) {
	g := &sh.rings[i.class]
	i.slot = len(g.items)
	g.items = append(g.items, i)
	b := s.bucket(i.key)
	i.next.Store(b.Load())
	b.Store(i)
	s.account(sh, i.class, 1, size)
}

// drop takes an item out. Whoever reads the bucket at the same time may still stand on it; its next one stays.
func (s *store) drop(sh *shard, i *item) {
	at := s.bucket(i.key)
	for at.Load() != i {
		at = &at.Load().next
	}
	at.Store(i.next.Load())
	g := &sh.rings[i.class]
	last := len(g.items) - 1
	g.items[i.slot] = g.items[last]
	g.items[i.slot].slot = i.slot
	g.items[last] = nil
	g.items = g.items[:last]
	s.account(sh, i.class, -1, -i.size())
}

func (s *store) account(sh *shard, c class, entries, bytes int) {
	sh.bytes += bytes
	s.bytes.Add(int64(bytes))
	s.entries[c].Add(int64(entries))
}

// victim is the item that goes: the first one from the hand on that was not hit since the hand came by, but not the new
// one. When readers mark them faster than the hand unmarks, two rounds are enough.
func (g *ring) victim(fresh *item) *item {
	for turns := 2 * len(g.items); ; turns-- {
		g.hand++
		if g.hand >= len(g.items) {
			g.hand = 0
		}
		i := g.items[g.hand]
		if i != fresh && (turns <= 0 || !i.visited.Swap(false)) {
			return i
		}
	}
}

// fuller is the class that has used up more of its share, the new item of class fresh not counted.
func (sh *shard) fuller(shares [classes]int, fresh class) class {
	used := [classes]int{positive: len(sh.rings[positive].items), negative: len(sh.rings[negative].items)}
	used[fresh]--
	if used[positive]*shares[negative] >= used[negative]*shares[positive] && used[positive] > 0 {
		return positive
	}
	return negative
}
