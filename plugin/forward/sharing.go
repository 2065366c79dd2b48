package forward

import (
	"bytes"
	"errors"
	"sync"

	"github.com/nameplane/nameplane/server/wire"
)

// errGivenUp is for those who share a query that ended in a panic.
var errGivenUp = errors.New("the query that asked the same was given up")

// sharing lets identical questions that are under way share one exchange. It saves the upstream work, and whoever floods
// us with one question does not thereby get a thousand chances at once to forge the reply (RFC 5452, section 5).
type sharing struct {
	mu   sync.Mutex
	open map[string]*shared
	keys sync.Pool // of *[]byte
}

// shared is an exchange, and who waits for it.
type shared struct {
	key     string
	done    chan struct{} // made by the first who waits
	packet  []byte        // what came back; only where somebody waits
	err     error
	sharing *sharing
}

// join finds the exchange of a question, or begins it; first tells the one who is to ask. Two questions are identical
// when their packets are, but for ID and spelling: flags, DO, sizes and all EDNS options count.
func (s *sharing) join(q *wire.Query, tcp bool) (e *shared, first bool) {
	buffer, ok := s.keys.Get().(*[]byte)
	if !ok {
		buffer = new([]byte)
	}
	*buffer = appendKey((*buffer)[:0], q, tcp)
	defer s.keys.Put(buffer)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.open[string(*buffer)]; e != nil {
		if e.done == nil {
			e.done = make(chan struct{})
		}
		return e, false
	}
	e = &shared{key: string(*buffer), sharing: s}
	if s.open == nil {
		s.open = make(map[string]*shared)
	}
	s.open[e.key] = e
	return e, true
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

// end says what came back, to whoever waits: a reply, which is not kept, or why there is none.
func (e *shared) end(f *flight, err error) {
	e.sharing.mu.Lock()
	defer e.sharing.mu.Unlock()
	delete(e.sharing.open, e.key)
	if e.done == nil {
		return
	}
	if e.err = err; err == nil {
		e.packet = bytes.Clone(f.packet)
	}
	close(e.done)
}
