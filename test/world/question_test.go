package world

import (
	"testing"

	"github.com/miekg/dns"
)

func packed(t *testing.T, questions []Question) [][]byte {
	t.Helper()
	var all [][]byte
	for _, q := range questions {
		wire, err := q.Msg.Pack()
		if err != nil {
			t.Fatalf("%s: %v", q.Msg, err)
		}
		all = append(all, append(wire, q.Proto...))
	}
	return all
}

func TestQuestionsAreMessages(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		for _, wire := range packed(t, New(seed).Questions(5000)) {
			m := new(dns.Msg)
			if err := m.Unpack(wire[:len(wire)-len("udp")]); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if len(m.Question) != 1 {
				t.Fatalf("seed %d: %d questions in a message", seed, len(m.Question))
			}
		}
	}
}

// A few thousand questions must reach every kind of name and every way of asking.
func TestQuestionsCoverEverything(t *testing.T) {
	t.Parallel()
	w := New(1)
	whys, asked, ways := map[string]int{}, map[uint16]int{}, map[string]int{}
	for _, q := range w.Questions(5000) {
		whys[q.Why]++
		asked[q.Msg.Question[0].Qtype]++
		ways[q.Proto]++
		for way, ok := range map[string]bool{
			"RD": q.Msg.RecursionDesired, "no RD": !q.Msg.RecursionDesired, "CD": q.Msg.CheckingDisabled, "AD": q.Msg.AuthenticatedData,
			"no EDNS": q.Msg.IsEdns0() == nil, "mixed case": dns.CanonicalName(q.Msg.Question[0].Name) != q.Msg.Question[0].Name,
			"other class": q.Msg.Question[0].Qclass != dns.ClassINET, "other opcode": q.Msg.Opcode != dns.OpcodeQuery,
		} {
			if ok {
				ways[way]++
			}
		}
		if opt := q.Msg.IsEdns0(); opt != nil {
			ways["EDNS"]++
			if opt.Do() {
				ways["DO"]++
			}
			if opt.Version() != 0 {
				ways["EDNS version"]++
			}
			for _, o := range opt.Option {
				switch o.Option() {
				case dns.EDNS0NSID:
					ways["NSID"]++
				case dns.EDNS0COOKIE:
					ways["COOKIE"]++
				case dns.EDNS0PADDING:
					ways["PADDING"]++
				}
			}
		}
	}
	for _, s := range w.subjects() {
		if whys[s.why] < 5 {
			t.Errorf("%d questions for: %s", whys[s.why], s.why)
		}
	}
	for _, qtype := range types {
		if asked[qtype] < 50 {
			t.Errorf("%d questions of type %s", asked[qtype], dns.Type(qtype))
		}
	}
	for _, way := range []string{
		"udp", "tcp", "RD", "no RD", "CD", "AD", "EDNS", "no EDNS", "DO", "EDNS version", "mixed case", "other class", "other opcode",
		"NSID", "COOKIE", "PADDING",
	} {
		if ways[way] < 5 {
			t.Errorf("%d questions with %s", ways[way], way)
		}
	}
}

// Asked for enough, every name is asked for with every type.
func TestQuestionsAreExhaustive(t *testing.T) {
	t.Parallel()
	w := New(1)
	type pair struct {
		name  string
		qtype uint16
	}
	missing := map[pair]bool{}
	for _, s := range w.subjects() {
		for _, qtype := range types {
			missing[pair{dns.CanonicalName(s.name), qtype}] = true
		}
	}
	n := 2 * len(w.subjects()) * len(types)
	for _, q := range w.Questions(n) {
		delete(missing, pair{dns.CanonicalName(q.Msg.Question[0].Name), q.Msg.Question[0].Qtype})
	}
	if len(missing) > 0 {
		t.Errorf("%d pairs of a name and a type were left out of %d questions", len(missing), n)
	}
}

func TestUpstreamAnswers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		qname   string
		qtype   uint16
		rcode   int
		answers int
		soa     bool
	}{
		{name: "address", qname: "www.example.com.", qtype: dns.TypeA, answers: 1},
		{name: "type that is not there", qname: "www.example.com.", qtype: dns.TypeCNAME, soa: true},
		{name: "missing", qname: "missing.example.com.", qtype: dns.TypeA, rcode: dns.RcodeNameError, soa: true},
		{name: "empty", qname: "empty.example.org.", qtype: dns.TypeAAAA, soa: true},
		{name: "broken", qname: "broken.example.org.", qtype: dns.TypeA, rcode: dns.RcodeServerFailure},
		{name: "refused", qname: "refused.example.net.", qtype: dns.TypeA, rcode: dns.RcodeRefused},
		{name: "alias", qname: "alias.example.com.", qtype: dns.TypeA, answers: 2},
		{name: "the alias itself", qname: "alias.example.com.", qtype: dns.TypeCNAME, answers: 1},
		{name: "alias in mixed case", qname: "ALIAS.Example.com.", qtype: dns.TypeAAAA, answers: 2},
		{name: "alias of nothing", qname: "alias-missing.example.net.", qtype: dns.TypeA, rcode: dns.RcodeNameError, answers: 1, soa: true},
		{name: "alias of an empty name", qname: "alias-empty.example.net.", qtype: dns.TypeA, answers: 1, soa: true},
		{name: "many", qname: "many.example.org.", qtype: dns.TypeAAAA, answers: 60},
		{name: "IPv6 only", qname: "v6.example.net.", qtype: dns.TypeA, soa: true},
		{name: "cluster name that leaked", qname: "web.default.svc.cluster.local.", qtype: dns.TypeA, rcode: dns.RcodeNameError, soa: true},
		{name: "reverse name", qname: "1.2.0.192.in-addr.arpa.", qtype: dns.TypePTR, rcode: dns.RcodeNameError, soa: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			reply := Upstream{}.Reply(new(dns.Msg).SetQuestion(tc.qname, tc.qtype))
			if reply.Rcode != tc.rcode || len(reply.Answer) != tc.answers || len(reply.Ns) == 1 != tc.soa {
				t.Errorf("got %s, want %s with %d answers, SOA %v", reply, dns.RcodeToString[tc.rcode], tc.answers, tc.soa)
			}
		})
	}
}
