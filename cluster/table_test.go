package cluster

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

type entry struct {
	key   string
	value int
}

func newEntries() *table[entry] { return newTable(func(e *entry) string { return e.key }) }

// TestTableIsAMap does the same random steps to a table and to a map.
func TestTableIsAMap(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		random := rand.New(rand.NewPCG(seed, 1))
		tab, model := newEntries(), map[string]int{}
		keys := 1 + random.IntN(2000)
		for step := range 10_000 {
			key := fmt.Sprint(random.IntN(keys))
			if random.IntN(3) > 0 {
				tab.put(&entry{key: key, value: step})
				model[key] = step
			} else {
				tab.delete(key)
				delete(model, key)
			}
		}
		compare(t, tab, model, keys)
	}
}

func compare(t *testing.T, tab *table[entry], model map[string]int, keys int) {
	t.Helper()
	for i := range keys {
		key := fmt.Sprint(i)
		want, has := model[key]
		switch got := tab.get([]byte(key)); {
		case has != (got != nil):
			t.Fatalf("%s: found %v, want %v", key, got != nil, has)
		case has && got.value != want:
			t.Fatalf("%s: %d, want %d", key, got.value, want)
		}
	}
	visited := map[string]int{}
	tab.each(func(e *entry) { visited[e.key]++ })
	if len(visited) != len(model) || tab.live != len(model) {
		t.Fatalf("%d visited, %d live, want %d", len(visited), tab.live, len(model))
	}
	for key, times := range visited {
		if times != 1 {
			t.Fatalf("%s visited %d times", key, times)
		}
	}
}

// TestTableStaysSmall: slots of deleted records are used again.
func TestTableStaysSmall(t *testing.T) {
	t.Parallel()
	tab := newEntries()
	for i := range 20_000 {
		key := fmt.Sprint(i)
		tab.put(&entry{key: key})
		tab.delete(key)
	}
	if n := len(*tab.slots.Load()); n > 4*smallest {
		t.Errorf("%d slots for no record", n)
	}
}

// TestTableReaders: while the writer replaces, deletes and grows, a reader always finds what stays, and never a record
// of another key.
func TestTableReaders(t *testing.T) {
	t.Parallel()
	const staying, churning = 200, 5000
	tab := newEntries()
	for i := range staying {
		tab.put(&entry{key: fmt.Sprintf("stay-%d", i)})
	}
	var done atomic.Bool
	var readers sync.WaitGroup
	for r := range 3 {
		readers.Go(func() {
			for i := r; !done.Load(); i++ {
				key := fmt.Sprintf("stay-%d", i%staying)
				if e := tab.get([]byte(key)); e == nil || e.key != key {
					t.Errorf("%s: got %v", key, e)
					return
				}
				key = fmt.Sprintf("churn-%d", i%churning)
				if e := tab.get([]byte(key)); e != nil && e.key != key {
					t.Errorf("%s: got %v", key, e)
					return
				}
			}
		})
	}
	for i := range 2 * churning {
		tab.put(&entry{key: fmt.Sprintf("churn-%d", i%churning), value: i})
		tab.put(&entry{key: fmt.Sprintf("stay-%d", i%staying), value: i})
		if i%3 == 0 {
			tab.delete(fmt.Sprintf("churn-%d", (i*7)%churning))
		}
	}
	done.Store(true)
	readers.Wait()
}
