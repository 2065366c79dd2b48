package vip

import (
	"sync"
	"time"

	"github.com/nameplane/nameplane/cluster"
)

// queue is what changed in the store and is not forwarded yet. A service that changes ten times before the loop comes to it
// is in it once.
type queue struct {
	now  func() time.Time
	wake chan struct{} // holds one when there is something to take

	mu       sync.Mutex
	services map[string]*cluster.Service // guarded by mu: the last record of each, by key
	fresh    backlog                     // guarded by mu: to be taken
	taken    backlog                     // guarded by mu: on its way
	last     time.Time                   // guarded by mu: when the last change was seen
}

// backlog is how much waits, and since when.
type backlog struct {
	services, slices int         // changes
	triggers         []time.Time // of the changes of slices, where they are known
	first            time.Time   // when the oldest was seen; zero for none
}

// maxTriggers bounds the times that are kept: a plane that fails for hours must not fill the memory.
const maxTriggers = 10_000

func newQueue(now func() time.Time) *queue {
	return &queue{now: now, wake: make(chan struct{}, 1), services: map[string]*cluster.Service{}}
}

// observe is for cluster.Writer.Watch: it does not block.
func (q *queue) observe(c cluster.Change) {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := &q.fresh
	switch c.Kind {
	case cluster.KindService:
		b.services++
	case cluster.KindEndpointSlice:
		b.slices++
		if !c.Trigger.IsZero() && len(b.triggers) < maxTriggers {
			b.triggers = append(b.triggers, c.Trigger)
		}
	case cluster.KindNode: // read from the store by whoever takes
	default:
		return
	}
	if c.Service != nil {
		q.services[c.Service.Key()] = c.Service
	}
	q.see()
}

// see notes the time of a change, and wakes the loop. q.mu is held.
func (q *queue) see() {
	q.last = q.now()
	if q.fresh.first.IsZero() {
		q.fresh.first = q.last
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// owe says that something is to be done though no object changed.
func (q *queue) owe() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.see()
}

// waits tells whether there is something to take.
func (q *queue) waits() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.fresh.first.IsZero()
}

// take is what changed since the last take. It counts as waiting until done.
func (q *queue) take() map[string]*cluster.Service {
	q.mu.Lock()
	defer q.mu.Unlock()
	services := q.services
	q.services = map[string]*cluster.Service{}
	q.taken.join(&q.fresh)
	q.fresh = backlog{}
	return services
}

func (b *backlog) join(later *backlog) {
	b.services += later.services
	b.slices += later.slices
	b.triggers = append(b.triggers, later.triggers...)
	if len(b.triggers) > maxTriggers {
		b.triggers = b.triggers[:maxTriggers]
	}
	if b.first.IsZero() {
		b.first = later.first
	}
}

// done says that all that was taken is forwarded, and returns what that was.
func (q *queue) done() backlog {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.taken
	q.taken = backlog{}
	return b
}

// waiting is all that is not forwarded yet, without triggers, and when the last change was seen.
func (q *queue) waiting() (all backlog, last time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	all = backlog{services: q.taken.services, slices: q.taken.slices, first: q.taken.first}
	all.join(&backlog{services: q.fresh.services, slices: q.fresh.slices, first: q.fresh.first})
	return all, q.last
}
