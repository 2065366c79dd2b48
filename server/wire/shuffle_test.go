package wire

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// order is the last byte of each address of the answer, in its order.
func order(m *dns.Msg) string {
	var s strings.Builder
	for _, rr := range m.Answer {
		switch rr := rr.(type) {
		case *dns.A:
			fmt.Fprint(&s, rr.A.To4()[3])
		case *dns.AAAA:
			fmt.Fprint(&s, rr.AAAA[15])
		}
	}
	return s.String()
}

func TestShuffleReachesAllOrders(t *testing.T) {
	t.Parallel()
	q := askFor(t, "a.svc.cluster.local.", dns.TypeA)
	seen := map[string]int{}
	const rounds = 6000
	for range rounds {
		var r Reply
		r.Start(q, dns.RcodeSuccess)
		for i := range byte(4) {
			if i%2 == 0 {
				r.Address(QuestionName, []byte{10, 0, 0, i}, 5)
			} else {
				r.Address(QuestionName, append(make([]byte, 15), i), 5)
			}
		}
		if err := r.Shuffle(q); err != nil {
			t.Fatal(err)
		}
		seen[order(finished(t, &r, q, 512))]++
	}
	if len(seen) != 24 {
		t.Errorf("%d of 24 orders", len(seen))
	}
	for o, n := range seen { // 250 expected each; 6 deviations are about 95
		if len(o) != 4 || n < 155 || n > 345 {
			t.Errorf("order %s came %d times in %d", o, n, rounds)
		}
	}
}

// TestShuffleKeepsRecords is a property of random messages: nothing is lost or changed, sections stay, CNAMEs come first,
// and what is neither address nor MX stays in its order.
func TestShuffleKeepsRecords(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(9, 10))
	for range 2000 {
		query := new(dns.Msg).SetQuestion("name.default.svc.cluster.local.", dns.TypeANY)
		q := ask(t, query)
		m := randomMsg(t, random, query, 12)
		var r Reply
		if err := r.SetMsg(q, m); err != nil {
			t.Fatal(err)
		}
		r.AddOption(dns.EDNS0EDE, []byte{0, 1})
		if err := r.Shuffle(q); err != nil {
			t.Fatal(err)
		}
		got := finished(t, &r, q, dns.MaxMsgSize)
		for i, pair := range [][2][]dns.RR{{m.Answer, got.Answer}, {m.Ns, got.Ns}, {m.Extra, got.Extra}} {
			checkShuffled(t, i, pair[0], pair[1])
		}
		if got.Rcode != m.Rcode || got.Authoritative != m.Authoritative || string(r.options) != "\x00\x0f\x00\x02\x00\x01" {
			t.Fatalf("header or options changed: %v, options %x", got.MsgHdr, r.options)
		}
	}
}

func checkShuffled(t *testing.T, section int, before, after []dns.RR) {
	t.Helper()
	was, is := texts(before), texts(after)
	slices.Sort(was)
	slices.Sort(is)
	if !slices.Equal(was, is) {
		t.Fatalf("section %d: was\n%s\nis\n%s", section, strings.Join(was, "\n"), strings.Join(is, "\n"))
	}
	others := func(records []dns.RR) (rest []string) {
		for _, first := range []bool{true, false} {
			for _, rr := range records {
				switch rtype := rr.Header().Rrtype; {
				case isAddress(rtype), rtype == dns.TypeMX:
				case (rtype == dns.TypeCNAME) == first:
					rest = append(rest, rr.String())
				}
			}
		}
		return rest
	}
	var now []string
	for _, rr := range after {
		if rtype := rr.Header().Rrtype; !isAddress(rtype) && rtype != dns.TypeMX {
			now = append(now, rr.String())
		}
	}
	if want := others(before); !slices.Equal(now, want) {
		t.Fatalf("section %d: the records that stay are\n%s\nwant\n%s", section, strings.Join(now, "\n"), strings.Join(want, "\n"))
	}
}

func TestShuffleLeavesCNAMEFirst(t *testing.T) {
	t.Parallel()
	q := askFor(t, "ext.ns.svc.cluster.local.", dns.TypeA)
	seen := map[string]bool{}
	for range 200 {
		var r Reply
		r.Start(q, dns.RcodeSuccess)
		r.Open(QuestionName, dns.TypeCNAME, 5)
		owner := r.Name([]byte(mustName(t, "www.example.com.")))
		r.Close()
		for i := range byte(3) {
			r.Address(owner, []byte{1, 2, 3, i}, 5)
		}
		if err := r.Shuffle(q); err != nil {
			t.Fatal(err)
		}
		m := finished(t, &r, q, 512)
		if cname, ok := m.Answer[0].(*dns.CNAME); !ok || cname.Target != "www.example.com." {
			t.Fatalf("%v", m.Answer)
		}
		seen[order(m)] = true
	}
	if len(seen) != 6 {
		t.Errorf("orders %v, want all 6", seen)
	}
}

func TestShuffleMX(t *testing.T) {
	t.Parallel()
	q := askFor(t, "example.org.", dns.TypeMX)
	m := new(dns.Msg).SetReply(new(dns.Msg).SetQuestion("example.org.", dns.TypeMX))
	for i := range 3 {
		m.Answer = append(m.Answer, mustRR(t, fmt.Sprintf("example.org. 5 IN MX %d mail.example.org.", i)))
	}
	seen := map[string]bool{}
	for range 200 {
		var r Reply
		if err := r.SetMsg(q, m); err != nil {
			t.Fatal(err)
		}
		if err := r.Shuffle(q); err != nil {
			t.Fatal(err)
		}
		seen[strings.Join(texts(finished(t, &r, q, 512).Answer), "\n")] = true
	}
	if len(seen) != 6 {
		t.Errorf("%d orders, want all 6", len(seen))
	}
}
