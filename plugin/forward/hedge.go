package forward

import (
	"sync/atomic"
	"time"
)

// An upstream is slow when it takes longer than it commonly does, but never below the least of these, and at the most
// always; half its read timeout is the most as well.
const (
	leastPatience = 10 * time.Millisecond
	mostPatience  = 250 * time.Millisecond
)

// spare is whom to ask as well when u is slow; nil for nobody. An order that the operator chose is kept: with "policy
// sequential" the next upstream may know other names than the first, and speaks only when that one is silent.
func (t *trip) spare(u *upstream) *upstream {
	if len(t.list) < 2 || t.policy == "sequential" || t.most != 0 && t.attempts+1 >= t.most {
		return nil
	}
	t.budget.earn()
	at := 0
	for i, other := range t.list {
		if other == u {
			at = i
		}
	}
	for i := 1; i < len(t.list); i++ {
		if other := t.list[(at+i)%len(t.list)]; !other.down() && !other.doubtful() {
			return other
		}
	}
	return nil
}

// budget bounds the second queries to one in ten: when everything is slow, upstreams are short of something already.
type budget struct{ tenths atomic.Int64 }

// mostSaved in tenths of a query is what quiet times save for others.
const mostSaved = 200

func (b *budget) earn() {
	if b.tenths.Load() < mostSaved {
		b.tenths.Add(1)
	}
}

func (b *budget) spend() bool {
	if b.tenths.Add(-10) < 0 {
		b.tenths.Add(10)
		return false
	}
	return true
}
