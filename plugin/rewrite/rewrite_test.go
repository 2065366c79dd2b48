package rewrite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

// built builds the directive of these lines in a server block.
func built(t testing.TB, log io.Writer, lines string) plugin.Handler {
	t.Helper()
	h, err := Spec().Build(block.NewEnv(log), block.Lines(t, ".:53 {\n"+lines+"\n}\n", "rewrite"))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// upstream is the end of a chain: it notes what it is asked and answers with records, in which @ stands for the name asked
// for.
type upstream struct {
	rcode   int
	answer  []string
	extra   []string
	opt     []dns.EDNS0 // of an OPT record of its own; nil for none
	err     error
	drops   bool
	asked   string
	options []string
}

func (u *upstream) Name() string { return "end" }

func (u *upstream) Serve(_ context.Context, x *plugin.Exchange) error {
	q := &x.Query
	u.asked = q.NameString() + " " + q.ClassString() + " " + q.TypeString()
	u.options = options(q.EDNS.Options)
	if q.EDNS.Present {
		u.asked += fmt.Sprintf(" %d", q.EDNS.Size)
	}
	if u.err != nil || u.drops {
		if u.drops {
			x.Reply.Drop()
		}
		return u.err
	}
	m, err := q.Msg()
	if err != nil {
		return err
	}
	r := new(dns.Msg).SetRcode(m, u.rcode)
	for _, text := range u.answer {
		r.Answer = append(r.Answer, record(text, q.NameString()))
	}
	for _, text := range u.extra {
		r.Extra = append(r.Extra, record(text, q.NameString()))
	}
	if u.opt != nil {
		r.SetEdns0(1232, false)
		r.IsEdns0().Option = u.opt
	}
	return x.Reply.SetMsg(q, r)
}

func record(text, name string) dns.RR {
	rr, err := dns.NewRR(strings.ReplaceAll(text, "@", name))
	if err != nil {
		panic(err)
	}
	return rr
}

func options(b []byte) (list []string) {
	for code, data := range wire.Options(b) {
		list = append(list, fmt.Sprintf("%d=%q", code, data))
	}
	return list
}

// shown is a reply as lines: rcode and question, then records.
func shown(m *dns.Msg) string {
	lines := []string{dns.RcodeToString[m.Rcode] + " " + m.Question[0].Name + " " + dns.Class(m.Question[0].Qclass).String() + " " + dns.Type(m.Question[0].Qtype).String()}
	for _, rr := range append(append(slices.Clone(m.Answer), m.Ns...), m.Extra...) {
		if rr.Header().Rrtype != dns.TypeOPT {
			lines = append(lines, strings.Join(strings.Fields(rr.String()), " "))
		}
	}
	return strings.Join(lines, "\n")
}

func TestRules(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		lines   string
		ask     string // "WWW.example.org. A" unless given
		answer  []string
		extra   []string
		rcode   int
		asked   string // of the end of the chain
		replied string // "\n" between lines
	}{
		{name: "exact", lines: "rewrite name www.example.org web.test", answer: []string{"@ 60 IN A 192.0.2.1"},
			asked: "web.test. IN A", replied: "NOERROR WWW.example.org. IN A\nwww.example.org. 60 IN A 192.0.2.1"},
		{name: "exact, and the names below in the answer", lines: "rewrite name exact www.example.org web.test",
			answer: []string{"@ 60 IN CNAME x.web.test.", "x.web.test. 60 IN CNAME xweb.test.", "xweb.test. 60 IN A 192.0.2.1"},
			asked:  "web.test. IN A",
			replied: "NOERROR WWW.example.org. IN A\nwww.example.org. 60 IN CNAME x.www.example.org.\n" +
				"x.www.example.org. 60 IN CNAME xweb.test.\nxweb.test. 60 IN A 192.0.2.1"},
		{name: "exact, another name", lines: "rewrite name ww.example.org web.test", answer: []string{"@ 60 IN A 192.0.2.1"},
			asked: "WWW.example.org. IN A", replied: "NOERROR WWW.example.org. IN A\nWWW.example.org. 60 IN A 192.0.2.1"},
		{name: "exact, NXDOMAIN", lines: "rewrite name www.example.org web.test", rcode: dns.RcodeNameError,
			asked: "web.test. IN A", replied: "NXDOMAIN WWW.example.org. IN A"},
		{name: "prefix", lines: "rewrite name prefix www web", answer: []string{"@ 60 IN A 192.0.2.1"},
			asked: "web.example.org. IN A", replied: "NOERROR WWW.example.org. IN A\nweb.example.org. 60 IN A 192.0.2.1"},
		{name: "prefix ends with a label", lines: "rewrite name prefix ww web", asked: "WWW.example.org. IN A", replied: "NOERROR WWW.example.org. IN A"},
		{name: "prefix, answer auto", lines: "rewrite name prefix www web answer auto", answer: []string{"@ 60 IN CNAME a.@", "a.@ 60 IN A 192.0.2.1"},
			asked:   "web.example.org. IN A",
			replied: "NOERROR WWW.example.org. IN A\nwww.example.org. 60 IN CNAME a.www.example.org.\na.www.example.org. 60 IN A 192.0.2.1"},
		{name: "suffix", lines: "rewrite name suffix example.org test", answer: []string{"@ 60 IN A 192.0.2.1"},
			asked: "www.test. IN A", replied: "NOERROR WWW.example.org. IN A\nwww.test. 60 IN A 192.0.2.1"},
		{name: "suffix need not begin with a label", lines: "rewrite name suffix w.example.org x.test", asked: "wwx.test. IN A", replied: "NOERROR WWW.example.org. IN A"},
		{name: "suffix, answer auto", lines: "rewrite name suffix .example.org .svc.cluster.local answer auto",
			answer: []string{"@ 60 IN CNAME other.svc.cluster.local.", "other.svc.cluster.local. 60 IN A 192.0.2.1"},
			asked:  "www.svc.cluster.local. IN A",
			replied: "NOERROR WWW.example.org. IN A\nwww.example.org. 60 IN CNAME other.example.org.\n" +
				"other.example.org. 60 IN A 192.0.2.1"},
		{name: "substring", lines: "rewrite name substring .example. .test.", asked: "www.test.org. IN A", replied: "NOERROR WWW.example.org. IN A"},
		{name: "substring, several times", lines: "rewrite name substring w. v.", ask: "w.w.example.org. A", asked: "v.v.example.org. IN A", replied: "NOERROR w.w.example.org. IN A"},
		{name: "substring that is not there", lines: "rewrite name substring ample.com test", asked: "WWW.example.org. IN A", replied: "NOERROR WWW.example.org. IN A"},
		{name: "regex", lines: `rewrite name regex (.*)\.example\.org {1}.test`, answer: []string{"@ 60 IN A 192.0.2.1"},
			asked: "www.test. IN A", replied: "NOERROR WWW.example.org. IN A\nwww.test. 60 IN A 192.0.2.1"},
		{name: "regex, answer name", lines: `rewrite name regex (.*)\.example\.org {1}.test answer name (.*)\.test {1}.example.org`,
			answer: []string{"@ 60 IN A 192.0.2.1"}, asked: "www.test. IN A",
			replied: "NOERROR WWW.example.org. IN A\nwww.example.org. 60 IN A 192.0.2.1"},
		{name: "answer value, of every type", lines: `rewrite name regex (.*)\.example\.org {1}.test answer value (.*)\.test\. {1}.out. value xyz abc`,
			answer: []string{"@ 60 IN CNAME a.test.", "@ 60 IN MX 1 a.test.", "@ 60 IN SRV 0 0 1 a.test.", "@ 60 IN PTR a.test.", "@ 60 IN DNAME a.test.",
				`@ 60 IN NAPTR 1 1 "" "" "" a.test.`, "@ 60 IN NS a.test.", "@ 60 IN SOA a.test. a.test. 1 2 3 4 5", `@ 60 IN TXT "a.test."`},
			asked: "www.test. IN A",
			replied: "NOERROR WWW.example.org. IN A\nwww.test. 60 IN CNAME a.out.\nwww.test. 60 IN MX 1 a.out.\nwww.test. 60 IN SRV 0 0 1 a.out.\n" +
				"www.test. 60 IN PTR a.out.\nwww.test. 60 IN DNAME a.out.\nwww.test. 60 IN NAPTR 1 1 \"\" \"\" \"\" a.out.\nwww.test. 60 IN NS a.out.\n" +
				"www.test. 60 IN SOA a.out. a.test. 1 2 3 4 5\nwww.test. 60 IN TXT \"a.test.\""},
		{name: "in braces", lines: "rewrite stop {\nname regex (.*)\\.example\\.org {1}.test\nanswer name (.*)\\.test {1}.example.org\nvalue (.*)\\.test {1}.example.org\n}",
			answer: []string{"@ 60 IN CNAME x.test."}, asked: "www.test. IN A",
			replied: "NOERROR WWW.example.org. IN A\nwww.example.org. 60 IN CNAME x.example.org."},
		{name: "metadata without labels", lines: `rewrite name regex ^(.*)\.example\.org\.$ {1}.In.test. metadata answer auto`, answer: []string{"@ 60 IN A 192.0.2.1"},
			asked: "www.in.test. IN A", replied: "NOERROR WWW.example.org. IN A\nwww.example.org. 60 IN A 192.0.2.1"},
		{name: "metadata that nobody provides", lines: `rewrite name regex ^(.*)\.example\.org\.$ {1}.{kubernetes/client-namespace}.test. metadata`,
			asked: "WWW.example.org. IN A", replied: "NOERROR WWW.example.org. IN A"},
		{name: "the root", lines: "rewrite name suffix . test.", ask: ". NS", asked: "test. IN NS", replied: "NOERROR . IN NS"},

		{name: "type", lines: "rewrite type A AAAA", answer: []string{"@ 60 IN AAAA fd00::1"}, asked: "WWW.example.org. IN AAAA",
			replied: "NOERROR WWW.example.org. IN A\nWWW.example.org. 60 IN AAAA fd00::1"},
		{name: "another type", lines: "rewrite type MX AAAA", asked: "WWW.example.org. IN A", replied: "NOERROR WWW.example.org. IN A"},
		{name: "class", lines: "rewrite class in ch", asked: "WWW.example.org. CH A", replied: "NOERROR WWW.example.org. IN A"},
		{name: "continue alone is reverted too", lines: "rewrite continue type A AAAA", asked: "WWW.example.org. IN AAAA", replied: "NOERROR WWW.example.org. IN A"},
		{name: "stop is the default", lines: "rewrite type A AAAA\nrewrite type AAAA MX", asked: "WWW.example.org. IN AAAA", replied: "NOERROR WWW.example.org. IN A"},
		{name: "continue", lines: "rewrite continue type A AAAA\nrewrite type AAAA MX", asked: "WWW.example.org. IN MX", replied: "NOERROR WWW.example.org. IN A"},
		{name: "a rule that does not match does not stop", lines: "rewrite type MX AAAA\nrewrite type A MX", asked: "WWW.example.org. IN MX", replied: "NOERROR WWW.example.org. IN A"},
		{name: "names in turn, reverted in turn", lines: "rewrite continue name suffix .example.org .a answer auto\nrewrite name suffix .a .b.test answer auto",
			answer: []string{"@ 60 IN A 192.0.2.1"}, asked: "www.b.test. IN A",
			replied: "NOERROR WWW.example.org. IN A\nwww.example.org. 60 IN A 192.0.2.1"},
		{name: "name and type", lines: "rewrite continue name www.example.org web.test\nrewrite type A AAAA", answer: []string{"@ 60 IN AAAA fd00::1"},
			asked: "web.test. IN AAAA", replied: "NOERROR WWW.example.org. IN A\nwww.example.org. 60 IN AAAA fd00::1"},

		{name: "ttl", lines: "rewrite ttl www.example.org 15", answer: []string{"@ 60 IN A 192.0.2.1", "@ 5 IN A 192.0.2.2"}, extra: []string{"x. 0 IN A 192.0.2.3"},
			asked: "WWW.example.org. IN A", replied: "NOERROR WWW.example.org. IN A\nWWW.example.org. 15 IN A 192.0.2.1\nWWW.example.org. 15 IN A 192.0.2.2\nx. 15 IN A 192.0.2.3"},
		{name: "ttl range", lines: "rewrite ttl suffix example.org 10-30", answer: []string{"@ 60 IN A 192.0.2.1", "@ 5 IN A 192.0.2.2", "@ 20 IN A 192.0.2.3"},
			asked: "WWW.example.org. IN A", replied: "NOERROR WWW.example.org. IN A\nWWW.example.org. 30 IN A 192.0.2.1\nWWW.example.org. 10 IN A 192.0.2.2\nWWW.example.org. 20 IN A 192.0.2.3"},
		{name: "ttl at least", lines: "rewrite ttl regex (.*) 30-", answer: []string{"@ 60 IN A 192.0.2.1", "@ 5 IN A 192.0.2.2"},
			asked: "WWW.example.org. IN A", replied: "NOERROR WWW.example.org. IN A\nWWW.example.org. 60 IN A 192.0.2.1\nWWW.example.org. 30 IN A 192.0.2.2"},
		{name: "ttl at most", lines: "rewrite ttl prefix www -30", answer: []string{"@ 60 IN A 192.0.2.1", "@ 5 IN A 192.0.2.2"},
			asked: "WWW.example.org. IN A", replied: "NOERROR WWW.example.org. IN A\nWWW.example.org. 30 IN A 192.0.2.1\nWWW.example.org. 5 IN A 192.0.2.2"},
		{name: "ttl of others", lines: "rewrite ttl substring example.com 15", answer: []string{"@ 60 IN A 192.0.2.1"},
			asked: "WWW.example.org. IN A", replied: "NOERROR WWW.example.org. IN A\nWWW.example.org. 60 IN A 192.0.2.1"},
		{name: "ttl beside a name", lines: "rewrite continue ttl www.example.org 15\nrewrite name www.example.org web.test", answer: []string{"@ 60 IN A 192.0.2.1"},
			asked: "web.test. IN A", replied: "NOERROR WWW.example.org. IN A\nwww.example.org. 15 IN A 192.0.2.1"},
		{name: "ttl is of the name that was rewritten before", lines: "rewrite continue name www.example.org web.test\nrewrite ttl web.test 15", answer: []string{"@ 60 IN A 192.0.2.1"},
			asked: "web.test. IN A", replied: "NOERROR WWW.example.org. IN A\nwww.example.org. 15 IN A 192.0.2.1"},

		{name: "rcode", lines: "rewrite rcode www.example.org SERVFAIL NOERROR", rcode: dns.RcodeServerFailure, asked: "WWW.example.org. IN A", replied: "NOERROR WWW.example.org. IN A"},
		{name: "rcode by number", lines: "rewrite rcode regex (.*) 3 0", rcode: dns.RcodeNameError, asked: "WWW.example.org. IN A", replied: "NOERROR WWW.example.org. IN A"},
		{name: "another rcode", lines: "rewrite rcode regex (.*) 3 0", rcode: dns.RcodeRefused, asked: "WWW.example.org. IN A", replied: "REFUSED WWW.example.org. IN A"},
		{name: "rcode with records", lines: "rewrite rcode www.example.org NOERROR nxdomain", answer: []string{"@ 60 IN A 192.0.2.1"}, asked: "WWW.example.org. IN A",
			replied: "NXDOMAIN WWW.example.org. IN A\nWWW.example.org. 60 IN A 192.0.2.1"},
		{name: "rcodes in turn, once a record", lines: "rewrite continue rcode regex . NXDOMAIN REFUSED\nrewrite rcode regex . NOERROR NXDOMAIN", answer: []string{"@ 60 IN A 192.0.2.1"},
			asked: "WWW.example.org. IN A", replied: "REFUSED WWW.example.org. IN A\nWWW.example.org. 60 IN A 192.0.2.1"},
		{name: "rcode and name without records", lines: "rewrite continue name www.example.org web.test\nrewrite rcode web.test NXDOMAIN NOERROR", rcode: dns.RcodeNameError,
			asked: "web.test. IN A", replied: "NOERROR WWW.example.org. IN A"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			end := &upstream{rcode: tc.rcode, answer: tc.answer, extra: tc.extra}
			if tc.ask == "" {
				tc.ask = "WWW.example.org. A"
			}
			name, qtype, _ := strings.Cut(tc.ask, " ")
			x := block.NewExchange(t, name, dns.StringToType[qtype])
			before := slices.Clone(x.Query.Packet())
			h := built(t, io.Discard, tc.lines)
			for range 2 { // from the pool
				if err := block.Serve(x, h, end); err != nil {
					t.Fatal(err)
				}
				if end.asked != tc.asked {
					t.Errorf("asked %s, want %s", end.asked, tc.asked)
				}
				if diff := cmp.Diff(tc.replied, shown(block.Answer(t, x))); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if !slices.Equal(x.Query.Packet(), before) || x.Query.NameString() != name {
					t.Errorf("the query is left as %s", x.Query.NameString())
				}
			}
		})
	}
}

// RFC 1035, section 2.3.4: what is no name cannot be asked for.
func TestInvalidName(t *testing.T) {
	t.Parallel()
	for _, lines := range []string{
		"rewrite name regex (.*) {1}.{1}..test",
		"rewrite name prefix www www.." + "x",
		"rewrite name www.example.org " + strings.Repeat("x", 64) + ".test",
	} {
		end := &upstream{}
		x := block.NewExchange(t, "www.example.org.", dns.TypeA)
		err := block.Serve(x, built(t, io.Discard, lines), end)
		if err == nil || !strings.Contains(err.Error(), "is not a domain name") || end.asked != "" || x.Reply.Made() || x.Query.NameString() != "www.example.org." {
			t.Errorf("%s: %v, asked %q", lines, err, end.asked)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	trouble := errors.New("trouble")
	for _, tc := range []struct {
		name, lines string
		err         bool
		rcode       int
		log         string
	}{
		{name: "an error stays one", lines: "rewrite name www.example.org web.test", err: true},
		{name: "unless a rule speaks of it", lines: "rewrite continue name www.example.org web.test\nrewrite rcode regex . SERVFAIL NXDOMAIN",
			rcode: dns.RcodeNameError, log: "[ERROR] www.example.org. A: trouble\n"},
		{name: "a rule of another code", lines: "rewrite rcode regex . REFUSED NXDOMAIN", err: true},
	} {
		log := new(block.Buffer)
		x := block.NewExchange(t, "www.example.org.", dns.TypeA)
		err := block.Serve(x, built(t, log, tc.lines), &upstream{err: trouble})
		if errors.Is(err, trouble) != tc.err || log.String() != tc.log || x.Query.NameString() != "www.example.org." {
			t.Errorf("%s: error %v, log %q, query %s", tc.name, err, log, x.Query.NameString())
		}
		if !tc.err {
			if m := block.Answer(t, x); m.Rcode != tc.rcode || m.Question[0].Name != "www.example.org." {
				t.Errorf("%s: %v", tc.name, m)
			}
		}
	}
	x := block.NewExchange(t, "www.example.org.", dns.TypeA)
	if err := block.Serve(x, built(t, io.Discard, "rewrite name www.example.org web.test"), &upstream{drops: true}); err != nil || !x.Reply.Dropped() || x.Query.NameString() != "www.example.org." {
		t.Errorf("dropped: %v, %v", x.Reply.Dropped(), err)
	}
}

func BenchmarkServe(b *testing.B) {
	for _, bc := range []struct{ name, lines string }{
		{name: "exact misses", lines: "rewrite name a.test b.test"},
		{name: "suffix misses", lines: "rewrite name suffix .test .test2 answer auto"},
		{name: "regex misses", lines: "rewrite name regex ^(a+)\\.test\\.$ {1}.b"},
		{name: "exact", lines: "rewrite name www.example.org web.test"},
		{name: "ttl", lines: "rewrite ttl regex (.*) 30"},
		{name: "type", lines: "rewrite type A AAAA"},
		{name: "edns0", lines: "rewrite edns0 local set 0xffee {client_ip}"},
	} {
		b.Run(bc.name, func(b *testing.B) {
			answer := block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error {
				x.Reply.Start(&x.Query, dns.RcodeSuccess)
				x.Reply.Address(wire.QuestionName, []byte{192, 0, 2, 1}, 60)
				return nil
			})
			chain := []plugin.Handler{built(b, io.Discard, bc.lines), answer}
			x := block.NewExchange(b, "www.example.org.", dns.TypeA)
			b.ReportAllocs()
			for b.Loop() {
				x.Begin(nil, chain)
				if err := x.Next(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestExamples(t *testing.T) { block.BuildExamples(t, Spec()) }

func FuzzRule(f *testing.F) {
	for _, seed := range []string{"name a b", "continue name regex (.*) {1}.x answer auto", "edns0 local set 1 {qname} revert", "ttl a -5", "rcode a 1 2", "cname suffix a b", "name regex a {a/b}{0} metadata"} {
		f.Add(seed, "www.example.org.")
	}
	f.Fuzz(func(t *testing.T, words, name string) {
		file, err := corefile.Parse("Corefile", []byte(".:53 {\nrewrite "+words+"\n}\n"))
		if err != nil || len(file.Blocks) != 1 || len(file.Blocks[0].Directives) != 1 || file.Blocks[0].Directives[0].Name != "rewrite" {
			return
		}
		h, err := Spec().Build(block.NewEnv(io.Discard), file.Blocks[0].Directives)
		if err != nil {
			return
		}
		m := new(dns.Msg).SetQuestion(name, dns.TypeA)
		packet, err := m.Pack()
		if err != nil {
			return
		}
		var x plugin.Exchange
		if x.Query.Parse(packet) != nil {
			return
		}
		before := x.Query.NameString()
		if err := block.Serve(&x, h, &upstream{answer: []string{"@ 60 IN A 192.0.2.1"}}); err == nil && x.Reply.Made() {
			if got := block.Answer(t, &x).Question[0].Name; got != before {
				t.Errorf("%s: the reply is to %s", before, got)
			}
		}
		if x.Query.NameString() != before {
			t.Errorf("%s: the query is left as %s", before, x.Query.NameString())
		}
	})
}
