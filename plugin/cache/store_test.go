package cache

import (
	"fmt"
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/server/wire"
)

// fill is a way to put replies into a store, and to find them.
type fill struct {
	*store
	t testing.TB
}

func (f fill) query(name string, qtype uint16) *wire.Query {
	n, err := wire.ParseName(name)
	if err != nil {
		f.t.Fatal(err)
	}
	q := new(wire.Query)
	if err := q.Parse(wire.NewQuery(0, n, qtype)); err != nil {
		f.t.Fatal(err)
	}
	return q
}

// put keeps a reply with so many TXT records of 200 bytes.
func (f fill) put(name string, c class, records int) [classes]int {
	q := f.query(name, dns.TypeTXT)
	var r wire.Reply
	r.Start(q, dns.RcodeSuccess)
	for range records {
		r.Open(wire.QuestionName, dns.TypeTXT, 60)
		r.Bytes(append([]byte{199}, make([]byte, 199)...))
		r.Close()
	}
	return f.store.put(&item{key: f.key(q), class: c, image: r.Image(q), ttl: 60}, q)
}

func (f fill) find(name string) [classes]*item {
	q := f.query(name, dns.TypeTXT)
	return f.store.find(f.key(q), q)
}

// check looks whether the store's books are right.
func (f fill) check() {
	f.t.Helper()
	var entries [classes]int
	bytes := 0
	for n := range f.shards {
		sh := &f.shards[n]
		sum := 0
		for c := range sh.rings {
			for slot, i := range sh.rings[c].items {
				if i.slot != slot || int(i.class) != c || f.shard(i.key) != sh {
					f.t.Errorf("shard %d, class %d, slot %d holds an item of slot %d, class %s", n, c, slot, i.slot, i.class)
				}
				sum += i.size()
			}
			if len(sh.rings[c].items) > f.shares[c] {
				f.t.Errorf("shard %d has %d items of %s, more than %d", n, len(sh.rings[c].items), class(c), f.shares[c])
			}
			entries[c] += len(sh.rings[c].items)
		}
		if sum != sh.bytes || sum > f.room {
			f.t.Errorf("shard %d: %d bytes, counted as %d, room for %d", n, sum, sh.bytes, f.room)
		}
		bytes += sum
	}
	linked := 0
	for b := range f.buckets {
		for i := f.buckets[b].Load(); i != nil; i = i.next.Load() {
			linked++
		}
	}
	if linked != entries[positive]+entries[negative] || int64(bytes) != f.bytes.Load() ||
		int64(entries[positive]) != f.entries[positive].Load() || int64(entries[negative]) != f.entries[negative].Load() {
		f.t.Errorf("%d items linked, %v in rings, %d and %d counted; %d bytes, %d counted", linked, entries,
			f.entries[positive].Load(), f.entries[negative].Load(), bytes, f.bytes.Load())
	}
}

func TestStoreReplacesAndRemoves(t *testing.T) {
	t.Parallel()
	f := fill{store: newStore([classes]int{0, 0}), t: t}
	f.put("a.example.org", positive, 1)
	f.put("A.example.org", positive, 2)
	f.put("a.example.org", negative, 0)
	found := f.find("a.EXAMPLE.org")
	if found[positive] == nil || found[negative] == nil || found[positive].image.Size() < 400 {
		t.Fatalf("found %v, want the later of each class", found)
	}
	if f.entries[positive].Load() != 1 || f.entries[negative].Load() != 1 {
		t.Errorf("%d and %d entries, want 1 and 1", f.entries[positive].Load(), f.entries[negative].Load())
	}
	f.check()
	q := f.query("a.example.org", dns.TypeTXT)
	f.remove(f.key(q), q, negative)
	f.remove(f.key(q), q, negative)
	if found := f.find("a.example.org"); found[positive] == nil || found[negative] != nil {
		t.Errorf("found %v after the denial was removed", found)
	}
	f.check()
}

// TestStoreComparesQuestions: of two questions with one hash none gets the other's reply.
func TestStoreComparesQuestions(t *testing.T) {
	t.Parallel()
	f := fill{store: newStore([classes]int{0, 0}), t: t}
	f.put("a.example.org", positive, 1)
	k := f.find("a.example.org")[positive].key
	for _, name := range []string{"b.example.org", "a.example.org.example.org", "example.org", "."} {
		if found := f.store.find(k, f.query(name, dns.TypeTXT)); found[positive] != nil {
			t.Errorf("%s has the reply of a.example.org", name)
		}
	}
	if found := f.store.find(k, f.query("a.example.org", dns.TypeSPF)); found[positive] != nil {
		t.Error("another type has the reply")
	}
	k.dnssec ^= 2
	if found := f.store.find(k, f.query("a.example.org", dns.TypeTXT)); found[positive] != nil {
		t.Error("CD has the reply without: CVE-2024-0874")
	}
}

// TestStoreIsBounded by entries of each class, and by bytes.
func TestStoreIsBounded(t *testing.T) {
	t.Parallel()
	f := fill{store: newStore([classes]int{2048, 0}), t: t}
	evicted := 0
	for n := range 4000 {
		gone := f.put(fmt.Sprintf("n%d.example.org", n), positive, 1)
		evicted += gone[positive]
		if gone[negative] != 0 {
			t.Fatal("a denial went for an answer")
		}
		f.put(fmt.Sprintf("n%d.example.org", n), negative, 0)
	}
	f.check()
	// A shard whose names are few by chance is not full.
	if n := int(f.entries[positive].Load()); n > 2048 || n < 1950 || evicted != 4000-n {
		t.Errorf("%d entries and %d evicted, want 2048 and the rest", n, evicted)
	}
	if n := f.entries[negative].Load(); n > 1024 || n < 1000 {
		t.Errorf("%d denials, want 1024: the smallest capacity", n)
	}
	for n := range 2000 {
		f.put(fmt.Sprintf("n%d.example.org", n), class(n%2), 60)
	}
	f.check()
	if most := int64(shards * f.room); f.bytes.Load() > most || f.bytes.Load() < most/4 {
		t.Errorf("%d bytes, want at most %d and much of it", f.bytes.Load(), most)
	}
	before := f.entries[positive].Load()
	if gone := f.put("large.example.org", positive, 300); gone != [classes]int{} || f.find("large.example.org")[positive] != nil {
		t.Errorf("a reply larger than a shard: %v went for it", gone)
	}
	if before != f.entries[positive].Load() {
		t.Error("entries changed")
	}
}

// TestEvictionSparesTheVisited: what is asked for stays while what is not comes and goes.
func TestEvictionSparesTheVisited(t *testing.T) {
	t.Parallel()
	f := fill{store: newStore([classes]int{2048, 0}), t: t}
	const popular = 500
	for n := range popular {
		f.put(fmt.Sprintf("p%d.example.org", n), positive, 0)
	}
	hits, asked := 0, 0
	for n := range 20000 {
		f.put(fmt.Sprintf("n%d.example.org", n), positive, 0)
		name := fmt.Sprintf("p%d.example.org", n%popular)
		asked++
		if i := f.find(name)[positive]; i != nil {
			hits++
			i.visit()
		} else {
			f.put(name, positive, 0)
		}
	}
	f.check()
	if hits*100 < asked*90 {
		t.Errorf("%d of %d queries for popular names were hits, want nine of ten at least", hits, asked)
	}
}
