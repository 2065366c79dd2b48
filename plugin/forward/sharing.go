package forward

import (
	"bytes"
	"errors"
	"hash/maphash"
	"sync"

	"github.com/nameplane/nameplane/server/wire"
)

// errGivenUp is for those who share a query that ended in a panic.
var errGivenUp = errors.New("the query that asked the same was given up")

// sharing lets identical questions that are under way share one exchange. It saves the upstream work, and whoever floods
// us with one question does not thereby get a thousand chances at once to forge the reply (RFC 5452, section 5).
//
// Exchanges are found by a hash of their questions, so that the list holds no strings; of two questions with one hash, which
// chance does not make, the second is on its own.
type sharing struct {
	seed maphash.Seed
	idle sync.Pool // of *shared

	mu   sync.Mutex
	open map[uint64]*shared
}

func newSharing() *sharing {
	return &sharing{seed: maphash.MakeSeed(), open: map[uint64]*shared{}}
}

// shared is an exchange, and who waits for it.
type shared struct {
	sharing *sharing
	key     []byte
	hash    uint64
	done    chan struct{} // made by the first who waits
	packet  []byte        // what came back; only where somebody waits
	to      string        // who was asked last
	err     error
}

// join finds the exchange of a question, or begins it; first tells the one who is to ask. Two questions are identical
// when their packets are, but for ID and spelling: flags, DO, sizes and all EDNS options count.
func (s *sharing) join(q *wire.Query, tcp bool) (e *shared, first bool) {
	mine, ok := s.idle.Get().(*shared)
	if !ok {
		mine = &shared{sharing: s}
	}
	mine.key = appendKey(mine.key[:0], q, tcp)
	mine.hash = maphash.Bytes(s.seed, mine.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e := s.open[mine.hash]; {
	case e == nil:
		s.open[mine.hash] = mine
	case bytes.Equal(e.key, mine.key):
		s.idle.Put(mine)
		if e.done == nil {
			e.done = make(chan struct{})
		}
		return e, false
	}
	return mine, true
}

// appendKey appends all of a question that matters.
func appendKey(key []byte, q *wire.Query, tcp bool) []byte {
	transport := byte(0)
	if tcp {
		transport = 1
	}
	packet, name := q.Packet(), q.Name()
	key = append(append(key, transport), packet[2:headerSize]...)
	key = append(key, name...)
	return append(key, packet[headerSize+len(name):]...)
}

// end says what came back, and from whom, to whoever waits: a reply, which is not kept, or why there is none.
func (e *shared) end(f *flight, to string, err error) {
	s := e.sharing
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[e.hash] == e {
		delete(s.open, e.hash)
	}
	if e.done == nil {
		s.idle.Put(e)
		return
	}
	e.to = to
	if e.err = err; err == nil {
		e.packet = bytes.Clone(f.packet)
	}
	close(e.done)
}
