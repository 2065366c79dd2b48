package hosts

import (
	"github.com/nameplane/nameplane/server/wire"
)

// table is the entries of one source. It is not changed any more once it is made.
type table struct {
	names   map[string]entry    // by name in wire form; "*" as leftmost label stands for one label
	reverse map[[16]byte][]byte // by address (IPv4 mapped): names in wire form behind each other
	size    int                 // addresses of names and names of addresses
}

// entry is the addresses of a name, 4 and 16 bytes each, in the order in which they were read.
type entry struct{ v4, v6 []byte }

func newTable() *table {
	return &table{names: map[string]entry{}, reverse: map[[16]byte][]byte{}}
}

func (e entry) empty() bool { return len(e.v4)+len(e.v6) == 0 }

// find is what a source knows of the question's name. An address family that the name itself has not may come from the
// name whose leftmost label is "*": as in CoreDNS each family is looked up by itself.
func (t *table) find(q *wire.Query) entry {
	e := t.names[string(q.Name())]
	if e.v4 != nil && e.v6 != nil || q.Labels() < 2 {
		return e
	}
	var buf [2 + wire.MaxName]byte
	name := append(append(buf[:0], 1, '*'), q.From(1)...)
	wild := t.names[string(name)]
	if e.v4 == nil {
		e.v4 = wild.v4
	}
	if e.v6 == nil {
		e.v6 = wild.v6
	}
	return e
}
