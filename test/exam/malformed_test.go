package exam

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"github.com/nameplane/nameplane/test/peer"
	"github.com/nameplane/nameplane/test/world"
)

// TestMalformed sends what is no query, or none in order, to both servers: both must answer it alike, or not at all, and
// go on answering.
func TestMalformed(t *testing.T) {
	peer.E2E(t)
	seed := seed(t)
	r := newRoom(t, seed)
	for _, c := range corefiles() {
		if c.name != "verified" && c.name != "namespaces" { // without and with a directive that takes all classes
			continue
		}
		facts, err := readFacts(t.Context(), r.cluster.Client())
		if err != nil {
			t.Fatal(err)
		}
		s := r.start(t, &c, facts)
		packets, err := malform(seed, world.New(seed).Questions(250))
		if err != nil {
			t.Fatal(err)
		}
		for _, proto := range []string{"udp", "tcp"} {
			t.Run(c.name+"-"+proto, func(t *testing.T) {
				tally := examine(t, s, proto, packets)
				t.Logf("seed %d: %d packets over %s; %s", seed, len(packets), proto, tally)
				if tally.failed() {
					t.Fail()
				}
			})
		}
	}
}

// verdicts count how packets of each kind were answered.
type verdicts struct {
	mu       sync.Mutex
	same     int            // guarded by mu
	silent   int            // guarded by mu; those of same that neither answered
	declared map[string]int // guarded by mu; by D-number
	differ   map[string]int // guarded by mu, by kind and difference
	examples []string       // guarded by mu
}

func (v *verdicts) failed() bool { return len(v.differ) > 0 }

func (v *verdicts) note(p packet, difference, declared string, theirs, ours []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case declared != "":
		v.declared[declared]++
		return
	case difference == "" && theirs == nil:
		v.silent++
		fallthrough
	case difference == "":
		v.same++
		return
	}
	kind := p.why + ": " + difference
	v.differ[kind]++
	if v.differ[kind] == 1 && len(v.examples) < shown {
		v.examples = append(v.examples, fmt.Sprintf("--- %s\npacket\n%scoredns\n%snameplane\n%s", kind, dump(p.bytes), dump(theirs), dump(ours)))
	}
}

func (v *verdicts) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d answered alike, %d of them by silence, declared: %v\n", v.same, v.silent, v.declared)
	for _, kind := range slices.Sorted(maps.Keys(v.differ)) {
		fmt.Fprintf(&b, "%6d  %s\n", v.differ[kind], kind)
	}
	return b.String() + strings.Join(v.examples, "")
}

func examine(t *testing.T, s *sitting, proto string, packets []packet) *verdicts {
	t.Helper()
	v := &verdicts{declared: map[string]int{}, differ: map[string]int{}}
	var group errgroup.Group
	group.SetLimit(2 * askers)
	for _, p := range packets {
		group.Go(func() error {
			theirs, ours, err := provokeBoth(s, proto, p)
			if err != nil {
				return fmt.Errorf("%s: %w\n%s", p.why, err, hex.Dump(p.bytes))
			}
			difference := rawDifference(theirs, ours)
			name := ""
			if difference != "" {
				name = declaredRaw(s, proto, p.bytes, theirs, ours)
			}
			v.note(p, difference, name, theirs, ours)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	return v
}

// declaredRaw looks for the deliberate difference behind the replies to a packet that happens to be a query.
func declaredRaw(s *sitting, proto string, p, theirs, ours []byte) string {
	both := newPair(s.theirs.address, s.ours.address)
	defer both.close()
	question, a, b := new(dns.Msg), new(dns.Msg), new(dns.Msg)
	for m, packet := range map[*dns.Msg][]byte{question: p, a: theirs, b: ours} {
		if m.Unpack(packet) != nil {
			return ""
		}
	}
	q := world.Question{Msg: question, Proto: proto}
	return declared(&difference{
		corefile: s.corefile, facts: s.facts, question: question, theirs: a, ours: b,
		ask: s.witness(both, q), whole: func() *dns.Msg { return s.whole(both, q) },
	})
}

// provokeBoth asks again, with more patience, when one server is silent and the other is not. CoreDNS reads only 512
// bytes of a datagram, Nameplane all of it: of longer ones CoreDNS's answer over TCP counts.
func provokeBoth(s *sitting, proto string, p packet) (theirs, ours []byte, err error) {
	for _, patience := range []time.Duration{settle, doubt, 10 * doubt} {
		theirsProto := proto
		if len(p.bytes) > 512 {
			theirsProto = "tcp"
		}
		if theirs, err = provoke(s.theirs.address, theirsProto, p.bytes, patience); err != nil {
			return nil, nil, wrap("coredns", err)
		}
		if ours, err = provoke(s.ours.address, proto, p.bytes, patience); err != nil {
			return nil, nil, wrap("nameplane", err)
		}
		if (theirs == nil) == (ours == nil) {
			break
		}
	}
	return theirs, ours, nil
}

// dump is the beginning of a packet in hexadecimal.
func dump(b []byte) string { return hex.Dump(b[:min(len(b), 160)]) }
