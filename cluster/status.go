package cluster

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Status is what operators want to know of a Store: in readiness, metrics and logs.
type Status struct {
	Source    string    // what the Store is filled from
	Synced    bool      // every kind was listed once
	Waiting   []Kind    // the kinds that were not listed yet
	Objects   [9]int    // by Kind
	LastEvent time.Time // of the last event, bookmark or relist; zero before any
	Relists   uint64    // lists after the first, by all kinds
	Skipped   uint64    // objects or parts of objects that broke a rule
	Failure   string    // why the source does not follow its cluster now; empty when it does
}

// String is one line for a log.
func (s Status) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:", s.Source)
	for _, k := range Kinds() {
		if n := s.Objects[k]; n > 0 || k < KindPod { // what not every source lists only where there is some
			fmt.Fprintf(&b, " %d %s", n, k)
		}
	}
	if s.Failure != "" {
		fmt.Fprintf(&b, "; %s", s.Failure)
	}
	return b.String()
}

// Lacking says which lists have not come yet, and from where.
func (s Status) Lacking() error {
	kinds := make([]string, len(s.Waiting))
	for i, kind := range s.Waiting {
		kinds[i] = kind.String()
	}
	return fmt.Errorf("%s: waiting for the list of %s", s.Source, strings.Join(kinds, ", "))
}

type status struct {
	objects   [kinds]atomic.Int64
	lastEvent atomic.Int64 // Unix nanoseconds
	relists   atomic.Uint64
	skipped   atomic.Uint64
	waiting   atomic.Uint32 // a bit for each expected kind that was not listed yet; written with mu

	mu       sync.Mutex
	source   string // guarded by mu
	failure  string // guarded by mu
	expected uint32 // guarded by mu: a bit for each kind that the source lists
}

// Status is the Store's state now. It takes a lock.
func (s *Store) Status() Status {
	st := s.status
	st.mu.Lock()
	defer st.mu.Unlock()
	out := Status{
		Source:  st.source,
		Synced:  s.synced.Load(),
		Relists: st.relists.Load(),
		Skipped: st.skipped.Load(),
		Failure: st.failure,
	}
	for _, k := range Kinds() {
		out.Objects[k] = int(st.objects[k].Load())
		if st.waiting.Load()&(1<<k) != 0 {
			out.Waiting = append(out.Waiting, k)
		}
	}
	if at := st.lastEvent.Load(); at != 0 {
		out.LastEvent = time.Unix(0, at)
	}
	return out
}
