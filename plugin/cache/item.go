package cache

import (
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/server/wire"
)

// class is one of the two caches, which have capacities of their own.
type class uint8

const (
	positive class = iota
	negative
	classes
)

// String is the class as options and metrics name it.
func (c class) String() string {
	if c == negative {
		return "denial"
	}
	return "success"
}

// item is a reply that is kept. What is not atomic does not change once others see it, but for slot.
type item struct {
	key
	image    *wire.Image
	class    class
	answers  bool      // see verdict
	ttl      int       // seconds that the reply holds
	stored   time.Time // with a monotonic reading, so that setting the clock changes no TTL
	wildcard string    // what the answer was made of, if directives behind said so: see wildcardLabel
	good     *item     // the answer before one that does not answer: see prefer_positive
	slot     int       // in the ring; guarded by the shard's lock

	next       atomic.Pointer[item] // in the bucket
	visited    atomic.Bool          // hit since the ring's hand came by
	refreshing atomic.Bool
	retryAt    atomic.Int64 // when a refresh may be tried after one that failed, in Unix nanoseconds; 0 for at once
	seen       atomic.Int64 // when the last hit was, in Unix nanoseconds; only if there is a use for it
	hits       atomic.Int64 // without a longer gap than prefetch allows
}

// size is what the item costs in bytes, about.
func (i *item) size() int {
	n := int(unsafe.Sizeof(*i)+unsafe.Sizeof(*i.image)) + i.image.Size()
	if i.good != nil {
		n += i.good.size()
	}
	return n
}

// left is the number of seconds that the reply holds on at a time; 0 and below when it does not any more. A query may
// have been read shortly before the item was stored.
func (i *item) left(now time.Time) int {
	return i.ttl - int(max(0, now.Sub(i.stored))/time.Second)
}

// wildcardLabel is the metadata that file leaves, and a hit leaves again.
const wildcardLabel = "zone/wildcard"

// extendedError is what a client may be told of a reply that holds for so many seconds (RFC 8914, sections 4.4, 4.20 and 4.14):
// that it is stale, or that the failure is not of this moment.
func (i *item) extendedError(left int) (code uint8, ok bool) {
	rcode := i.image.Rcode()
	switch {
	case rcode == dns.RcodeServerFailure:
		return uint8(dns.ExtendedErrorCodeCachedError), true
	case left > 0:
		return 0, false
	case rcode == dns.RcodeNameError:
		return uint8(dns.ExtendedErrorCodeStaleNXDOMAINAnswer), true
	}
	return uint8(dns.ExtendedErrorCodeStaleAnswer), true
}

// goodAnswer is the answer that the item is or holds on to; nil for none.
func (i *item) goodAnswer() *item {
	if i == nil || i.answers {
		return i
	}
	return i.good
}

// visit notes a hit. A name that is asked for all the time is not written to by every query.
func (i *item) visit() {
	if !i.visited.Load() {
		i.visited.Store(true)
	}
}

// count notes a hit, and tells how many there were without a gap of more than gap.
func (i *item) count(now time.Time, gap time.Duration) int64 {
	at := now.UnixNano()
	if i.seen.Swap(at) < at-int64(gap) {
		i.hits.Store(1)
		return 1
	}
	return i.hits.Add(1)
}

// beginRefresh is true for one of those who would refresh the item, unless a refresh failed less than recheck ago.
func (i *item) beginRefresh(now time.Time, recheck time.Duration) bool {
	if recheck > 0 && now.UnixNano() < i.retryAt.Load() {
		return false
	}
	return i.refreshing.CompareAndSwap(false, true)
}

// endRefresh lets the next one begin. The time to wait is there to be seen before that.
func (i *item) endRefresh(now time.Time, recheck time.Duration, refreshed bool) {
	at := int64(0)
	if recheck > 0 && !refreshed {
		at = now.Add(recheck).UnixNano()
	}
	i.retryAt.Store(at)
	i.refreshing.Store(false)
}
