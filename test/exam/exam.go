// Package exam puts the same questions to CoreDNS and to Nameplane, over the same API server and under the same Corefile,
// and compares the replies part by part. Nameplane means to be a drop-in for CoreDNS: what a fixture of its author's
// does not think of, a random cluster and ten thousands of random questions do.
//
// Where Nameplane deliberately answers otherwise, a rule in declared.go states the exact condition; every other
// difference fails the test. The seed is printed, and taken from NAMEPLANE_SEED when that is set.
package exam

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"github.com/nameplane/nameplane/test/world"
)

const (
	askers = 8  // questions under way at a time
	shown  = 20 // mismatches printed in full
)

// sitting is one world asked under one Corefile.
type sitting struct {
	corefile     *corefile
	facts        *facts
	theirs, ours server
	marks        *marks
}

// server is a running one: its address, and the URL of its readiness, where its Corefile has that.
type server struct{ address, ready string }

// ask puts all questions to both servers and marks the replies.
func (s *sitting) ask(questions []world.Question) error {
	work := make(chan world.Question)
	var group errgroup.Group
	for range askers {
		group.Go(func() error { return s.askAll(work) })
	}
	for _, q := range questions {
		work <- q
	}
	close(work)
	return group.Wait()
}

// askAll takes questions until there are no more. After an error it still takes them, since somebody hands them out.
func (s *sitting) askAll(work <-chan world.Question) (err error) {
	both := newPair(s.theirs.address, s.ours.address)
	defer both.close()
	for q := range work {
		if err != nil {
			continue
		}
		err = s.askOne(both, q)
	}
	return err
}

func (s *sitting) askOne(both *pair, q world.Question) error {
	packet, err := q.Msg.Pack()
	if err != nil {
		return fmt.Errorf("question %s: %w", q.Msg, err)
	}
	a, b, err := both.ask(q.Proto, packet)
	if err != nil {
		s.marks.mismatch(s.corefile.name, q, []string{"silence"}, err.Error())
		return nil
	}
	theirs, ours := new(dns.Msg), new(dns.Msg)
	if err := theirs.Unpack(a); err != nil {
		return fmt.Errorf("coredns, %s: %w: %x", q.Msg, err, a)
	}
	if err := ours.Unpack(b); err != nil {
		s.marks.mismatch(s.corefile.name, q, []string{"malformed"}, fmt.Sprintf("%v: %x", err, b))
		return nil
	}
	parts := view{}.compare(theirs, ours)
	if len(parts) == 0 || s.bothFull(both, q, parts, theirs, ours) {
		s.marks.agree()
		return nil
	}
	if parts = s.view().compare(theirs, ours); len(parts) == 0 {
		s.marks.declare("D13")
		return nil
	}
	d := &difference{
		corefile: s.corefile, facts: s.facts, question: q.Msg, theirs: theirs, ours: ours,
		ask: s.witness(both, q), whole: func() *dns.Msg { return s.whole(both, q) },
	}
	if name := declared(d); name != "" {
		s.marks.declare(name)
		return nil
	}
	s.marks.mismatch(s.corefile.name, q, parts, dig(theirs, ours))
	return nil
}

func (s *sitting) view() view { return view{cached: s.corefile.cache} }

// witness asks CoreDNS another question in the way of q.
func (s *sitting) witness(both *pair, q world.Question) func(string, uint16) *dns.Msg {
	return func(name string, qtype uint16) *dns.Msg {
		m := q.Msg.Copy()
		m.Question[0].Name, m.Question[0].Qtype = name, qtype
		packet, err := m.Pack()
		if err != nil {
			return nil
		}
		reply, err := both.theirs.ask(q.Proto, packet)
		if err != nil {
			return nil
		}
		r := new(dns.Msg)
		if r.Unpack(reply) != nil {
			return nil
		}
		return r
	}
}

// marks counts how replies compare. It is for many goroutines.
type marks struct {
	seed uint64

	mu       sync.Mutex
	agreed   int            // guarded by mu
	declared map[string]int // guarded by mu; by D-number
	failed   map[string]int // guarded by mu; by what differs
	examples []string       // guarded by mu
}

func newMarks(seed uint64) *marks {
	return &marks{seed: seed, declared: map[string]int{}, failed: map[string]int{}}
}

func (m *marks) agree() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.agreed++
}

func (m *marks) declare(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.declared[name]++
}

// mismatch notes a difference that nothing explains.
func (m *marks) mismatch(corefile string, q world.Question, parts []string, replies string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	kind := fmt.Sprintf("%s: %s %s: %s", corefile, q.Why, dns.Type(q.Msg.Question[0].Qtype), strings.Join(parts, ","))
	m.failed[kind]++
	if m.failed[kind] == 1 && len(m.examples) < shown {
		m.examples = append(m.examples, fmt.Sprintf("--- %s (seed %d, %s), these differ: %s\n%s\n%s",
			corefile, m.seed, q.Proto, strings.Join(parts, ", "), q.Msg, replies))
	}
}

// mismatches is the number of differences that nothing explains.
func (m *marks) mismatches() int {
	total := 0
	for _, n := range m.failed {
		total += n
	}
	return total
}

func (m *marks) questions() int {
	total := m.agreed + m.mismatches()
	for _, n := range m.declared {
		total += n
	}
	return total
}

// String is the result: counts, then what went wrong.
func (m *marks) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d questions, %d agree, declared:", m.seed, m.questions(), m.agreed)
	for _, name := range slices.SortedFunc(maps.Keys(m.declared), byNumber) {
		fmt.Fprintf(&b, " %s %d", name, m.declared[name])
	}
	fmt.Fprintf(&b, ", mismatches: %d\n", m.mismatches())
	for _, kind := range slices.Sorted(maps.Keys(m.failed)) {
		fmt.Fprintf(&b, "%6d  %s\n", m.failed[kind], kind)
	}
	for _, example := range m.examples {
		b.WriteString(example)
	}
	return b.String()
}

// byNumber sorts D2 before D10.
func byNumber(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// dig is both replies as text.
func dig(theirs, ours *dns.Msg) string {
	return fmt.Sprintf("coredns:\n%s\nnameplane:\n%s\n", theirs, ours)
}
