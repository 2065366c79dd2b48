// Package exam puts the same questions to CoreDNS and to Nameplane, over the same API server and under the same Corefile,
// and compares the replies part by part. Nameplane means to be a drop-in for CoreDNS: what a fixture of its author's
// does not think of, a random cluster and ten thousands of random questions do.
//
// Under Corefiles with a cache everything is asked twice, some time apart, and TTLs have to agree to the second.
//
// Where Nameplane deliberately answers otherwise, a rule in declared.go or cached.go states the exact condition; every other
// difference fails the test. The seed is printed, and taken from NAMEPLANE_SEED when that is set.
package exam

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"github.com/nameplane/nameplane/test/world"
)

const (
	askers = 8  // questions under way at a time
	shown  = 20 // mismatches printed in full

	boundary = 400 * time.Millisecond // after which a question is no more at the boundary of the same second
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

// ask puts all questions to both servers and marks the replies. Those for one name go through one asker, in their order:
// what a cache holds depends on who asked first.
func (s *sitting) ask(questions []world.Question) error {
	var parts [askers][]world.Question
	for _, q := range questions {
		h := fnv.New32a()
		h.Write([]byte(strings.ToLower(q.Msg.Question[0].Name)))
		i := h.Sum32() % askers
		parts[i] = append(parts[i], q)
	}
	var group errgroup.Group
	for _, part := range parts {
		group.Go(func() error { return s.askAll(part) })
	}
	return group.Wait()
}

func (s *sitting) askAll(questions []world.Question) error {
	both := newPair(s.theirs.address, s.ours.address)
	defer both.close()
	for _, q := range questions {
		if err := s.askOne(both, q); err != nil {
			return err
		}
	}
	return nil
}

// askOne asks, and once more where nothing but TTLs differ: the two servers may have seen a second begin between the
// same two questions. What is a boundary now is none a part of a second later. On a busy machine they may have learnt of
// a name at times that are further apart; so TTLs may differ by one even then. That each counts as it should is what
// package cacheexam is for.
func (s *sitting) askOne(both *pair, q world.Question) error {
	again, err := s.askOnce(both, q, s.corefile.cached)
	if again && err == nil {
		<-time.After(boundary)
		_, err = s.askOnce(both, q, false)
	}
	return err
}

// askOnce asks and marks, unless it may retry and should.
func (s *sitting) askOnce(both *pair, q world.Question, mayRetry bool) (retry bool, err error) {
	packet, err := q.Msg.Pack()
	if err != nil {
		return false, fmt.Errorf("question %s: %w", q.Msg, err)
	}
	a, b, err := both.ask(q.Proto, packet)
	if err != nil {
		s.marks.mismatch(s.corefile.name, q, []string{"silence"}, err.Error())
		return false, nil
	}
	theirs, ours := new(dns.Msg), new(dns.Msg)
	if err := theirs.Unpack(a); err != nil {
		return false, fmt.Errorf("coredns, %s: %w: %x", q.Msg, err, a)
	}
	if err := ours.Unpack(b); err != nil {
		s.marks.mismatch(s.corefile.name, q, []string{"malformed"}, fmt.Sprintf("%v: %x", err, b))
		return false, nil
	}
	parts := view{}.compare(theirs, ours)
	if len(parts) == 0 || s.bothFull(both, q, parts, theirs, ours) {
		s.marks.agree()
		return false, nil
	}
	d := &difference{
		corefile: s.corefile, facts: s.facts, question: q.Msg, theirs: theirs, ours: ours,
		ask: s.witness(both, q), whole: func() *dns.Msg { return s.whole(both, q) },
	}
	if name := declared(d); name != "" {
		s.marks.declare(name)
		return false, nil
	}
	if s.corefile.cached && len(s.view().compare(theirs, ours)) == 0 {
		if mayRetry {
			s.marks.straddle()
			return true, nil
		}
		if secondsApart(theirs, ours) <= 1 {
			s.marks.agree()
			return false, nil
		}
	}
	s.marks.mismatch(s.corefile.name, q, parts, dig(theirs, ours))
	return false, nil
}

func (s *sitting) view() view { return view{ttls: s.corefile.cached} }

// witness asks CoreDNS another question in the way of q.
func (s *sitting) witness(both *pair, q world.Question) func(string, uint16) *dns.Msg {
	return func(name string, qtype uint16) *dns.Msg {
		m := q.Msg.Copy()
		m.Question[0].Name, m.Question[0].Qtype = name, qtype
		packet, err := m.Pack()
		if err != nil {
			return nil
		}
		reply, _, err := both.ask(q.Proto, packet) // both, so that both caches hear of it
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
	retried  int            // guarded by mu; questions that were asked once more
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

func (m *marks) straddle() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.retried++
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
	if m.retried > 0 {
		fmt.Fprintf(&b, ", asked again %d", m.retried)
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
