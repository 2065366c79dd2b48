package prometheus

import (
	"sync/atomic"
)

// place is what the queries of a series have in common.
type place struct{ server, zone, view string }

// series counts the queries of one zone of a server block on one listener, in cells of their own for each socket.
type series struct {
	place
	plugin string // the directive that replies are put down to; guarded by counters.mu
	shards atomic.Pointer[[]*cells]
}

// cells are those of a socket. A number out of range, which only a reload with fewer sockets may bring for a moment,
// counts with the first.
func (s *series) cells(shard int) *cells {
	shards := *s.shards.Load()
	if uint(shard) >= uint(len(shards)) {
		shard = 0
	}
	return shards[shard]
}

// grow makes cells for so many sockets, at least one. Those there are go on counting.
func (s *series) grow(shards int) {
	var list []*cells
	if have := s.shards.Load(); have != nil {
		list = *have
	}
	if len(list) > 0 && len(list) >= shards {
		return
	}
	list = append(make([]*cells, 0, max(shards, 1)), list...)
	for len(list) < max(shards, 1) {
		list = append(list, new(cells))
	}
	s.shards.Store(&list)
}

// sum adds a cell up over the sockets.
func (s *series) sum(cell func(*cells) *atomic.Uint64) (total uint64) {
	for _, c := range *s.shards.Load() {
		total += cell(c).Load()
	}
	return total
}
