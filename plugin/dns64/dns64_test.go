package dns64

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

// server answers the A question.
type server struct {
	t     *testing.T
	reply *dns.Msg
	err   error
	asked []string
}

func (*server) Yield(*plugin.Exchange) error { return nil }

func (s *server) Resolve(_ context.Context, _ *plugin.Exchange, name wire.Name, qtype uint16) (*dns.Msg, error) {
	s.asked = append(s.asked, name.String()+" "+dns.Type(qtype).String())
	return s.reply, s.err
}

func message(t *testing.T, rcode int, answer, ns, extra []string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.Response, m.Rcode = true, rcode
	for _, section := range []struct {
		into  *[]dns.RR
		texts []string
	}{{&m.Answer, answer}, {&m.Ns, ns}, {&m.Extra, extra}} {
		for _, text := range section.texts {
			rr, err := dns.NewRR(text)
			if err != nil {
				t.Fatal(err)
			}
			*section.into = append(*section.into, rr)
		}
	}
	return m
}

const (
	soa = "example.org. 30 IN SOA ns.example.org. h.example.org. 1 2 3 4 5"
	a   = "example.org. 60 IN A 192.0.2.33"
)

// RFC 6147, section 5.1.
func TestServe(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		corefile string // "dns64" where it is empty
		client   string // an IPv6 one where it is empty
		qtype    uint16 // AAAA where it is 0
		class    uint16
		reply    []string // to the query: records as block.Reply takes them
		rcode    int
		a        *dns.Msg // reply to the A question; nil: it must not be asked
		want     []string // answer section
	}{
		{name: "no data: the SOA bounds the TTL (5.1.7)", reply: []string{soa}, a: message(t, 0, []string{a}, nil, nil), want: []string{"eXample.org.\t30\tIN\tAAAA\t64:ff9b::c000:221"}},
		{name: "the A record bounds the TTL", reply: []string{soa}, a: message(t, 0, []string{"example.org. 7 IN A 192.0.2.33"}, nil, nil), want: []string{"eXample.org.\t7\tIN\tAAAA\t64:ff9b::c000:221"}},
		{name: "without an SOA 600 seconds do", a: message(t, 0, []string{"example.org. 3600 IN A 192.0.2.33"}, nil, nil), want: []string{"eXample.org.\t600\tIN\tAAAA\t64:ff9b::c000:221"}},
		{
			name: "aliases stay (5.1.5)", reply: []string{"example.org. 9 IN CNAME www.example.org.", soa},
			a:    message(t, 0, []string{"example.org. 9 IN CNAME www.example.org.", "www.example.org. 9 IN A 192.0.2.1"}, nil, nil),
			want: []string{"eXample.org.\t9\tIN\tCNAME\twww.example.org.", "www.example.org.\t9\tIN\tAAAA\t64:ff9b::c000:201"},
		},
		{name: "there are addresses (5.1.1)", reply: []string{"example.org. 5 IN AAAA 2001:db8::1"}, want: []string{"example.org.\t5\tIN\tAAAA\t2001:db8::1"}},
		{name: "no such name (5.1.2)", rcode: dns.RcodeNameError, reply: []string{soa}},
		{name: "another error is like no answer (5.1.2)", rcode: dns.RcodeServerFailure, a: message(t, 0, []string{a}, nil, nil), want: []string{"eXample.org.\t60\tIN\tAAAA\t64:ff9b::c000:221"}},
		{name: "no A records either", reply: []string{soa}, a: message(t, 0, nil, []string{soa}, nil)},
		{name: "another type", qtype: dns.TypeA, reply: []string{a}, want: []string{"example.org.\t60\tIN\tA\t192.0.2.33"}},
		{name: "another class (5.1)", class: dns.ClassCHAOS, reply: []string{soa}},
		{name: "an IPv4 client", client: "10.0.0.1", reply: []string{soa}},
		{name: "an IPv4 client is allowed", corefile: "dns64 {\n allow_ipv4\n}", client: "10.0.0.1", reply: []string{soa}, a: message(t, 0, []string{a}, nil, nil), want: []string{"eXample.org.\t30\tIN\tAAAA\t64:ff9b::c000:221"}},
		{name: "all are translated", corefile: "dns64 {\n translate_all\n}", reply: []string{"example.org. 5 IN AAAA 2001:db8::1"}, a: message(t, 0, []string{a}, nil, nil), want: []string{"eXample.org.\t60\tIN\tAAAA\t64:ff9b::c000:221"}},
		{name: "a prefix", corefile: "dns64 64:1337::/96", reply: []string{soa}, a: message(t, 0, []string{a}, nil, nil), want: []string{"eXample.org.\t30\tIN\tAAAA\t64:1337::c000:221"}},
		{name: "a prefix as an option", corefile: "dns64 {\n prefix 2001:db8:122:344::/64\n}", reply: []string{soa}, a: message(t, 0, []string{a}, nil, nil), want: []string{"eXample.org.\t30\tIN\tAAAA\t2001:db8:122:344:c0:2:2100:0"}},
		{name: "a prefix and options", corefile: "dns64 64:1337::/96 {\n allow_ipv4\n}", client: "10.0.0.1", reply: []string{soa}, a: message(t, 0, []string{a}, nil, nil), want: []string{"eXample.org.\t30\tIN\tAAAA\t64:1337::c000:221"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			env := block.NewEnv(io.Discard)
			h := build1(t, env, test.corefile)
			m := new(dns.Msg).SetQuestion("eXample.org.", max(test.qtype, dns.TypeA))
			if test.qtype == 0 {
				m.Question[0].Qtype = dns.TypeAAAA
			}
			m.Question[0].Qclass = max(test.class, dns.ClassINET)
			x := block.FromMsg(t, m)
			x.Client = netip.MustParseAddrPort("[2001:db8::53]:40000")
			if test.client != "" {
				x.Client = netip.AddrPortFrom(netip.MustParseAddr(test.client), 40000)
			}
			s := &server{t: t, reply: test.a}
			x.Begin(s, []plugin.Handler{h, block.Reply(test.rcode, test.reply...)})
			if err := x.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			var asked []string
			if test.a != nil {
				asked = []string{"example.org. A"}
			}
			if diff := cmp.Diff(asked, s.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			got := block.Answer(t, x)
			var texts []string
			for _, rr := range got.Answer {
				texts = append(texts, rr.String())
			}
			if diff := cmp.Diff(test.want, texts); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if counted := block.Counters(t, env)[`coredns_dns64_requests_translated_total{server="dns://:53"}`]; counted != float64(len(asked)) {
				t.Errorf("%v translations counted, want %d", counted, len(asked))
			}
		})
	}
}

func build1(t testing.TB, env *plugin.Env, corefile string) plugin.Handler {
	t.Helper()
	if corefile == "" {
		corefile = "dns64"
	}
	h, err := Spec().Build(env, block.Lines(t, ". {\n"+corefile+"\n}", "dns64"))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// RFC 6147, section 5.3.2: what is around the answer is that of the A question's reply.
func TestSectionsAndFlags(t *testing.T) {
	t.Parallel()
	reply := message(t, 0, []string{a}, []string{"example.org. 5 IN NS ns.example.org."}, []string{"ns.example.org. 5 IN A 192.0.2.1"})
	reply.Truncated, reply.RecursionAvailable = true, true
	x := exchange(t)
	x.Begin(&server{t: t, reply: reply}, []plugin.Handler{build1(t, block.NewEnv(io.Discard), ""), block.Reply(0, soa)})
	if err := x.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := block.Answer(t, x)
	if len(m.Ns) != 1 || len(m.Extra) != 1 || m.Ns[0].Header().Rrtype != dns.TypeNS || !m.Truncated || !m.RecursionDesired || m.Authoritative {
		t.Errorf("%v", m)
	}
}

func exchange(t testing.TB) *plugin.Exchange {
	x := block.NewExchange(t, "example.org.", dns.TypeAAAA)
	x.Client = netip.MustParseAddrPort("[2001:db8::53]:40000")
	return x
}

func TestFailures(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, test := range []struct {
		name  string
		s     server
		chain []plugin.Handler
		want  string
	}{
		{name: "the A question fails", s: server{err: broken}, chain: []plugin.Handler{block.Reply(0, soa)}, want: "broken"},
		{name: "the A question is dropped", chain: []plugin.Handler{block.Reply(0, soa)}, want: "the question for A records of example.org. got no reply"},
		{name: "the query itself fails", want: plugin.ErrNoHandler.Error()},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			x := exchange(t)
			x.Begin(&test.s, append([]plugin.Handler{build1(t, block.NewEnv(io.Discard), "")}, test.chain...))
			if err := x.Next(t.Context()); err == nil || err.Error() != test.want || x.Reply.Made() {
				t.Errorf("error %v, reply %v; want %s", err, x.Reply.Made(), test.want)
			}
		})
	}
	x := exchange(t)
	dropping := block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error {
		x.Reply.Drop()
		return nil
	})
	if err := block.Serve(x, build1(t, block.NewEnv(io.Discard), ""), dropping); err != nil || !x.Reply.Dropped() {
		t.Errorf("a query that is to be dropped: error %v, dropped %v", err, x.Reply.Dropped())
	}
}

// RFC 6052, section 2.4.
func TestEmbed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, prefix, want string
	}{
		{name: "32 bits", prefix: "2001:db8::/32", want: "2001:db8:c000:221::"},
		{name: "40 bits", prefix: "2001:db8:100::/40", want: "2001:db8:1c0:2:21::"},
		{name: "48 bits", prefix: "2001:db8:122::/48", want: "2001:db8:122:c000:2:2100::"},
		{name: "56 bits", prefix: "2001:db8:122:300::/56", want: "2001:db8:122:3c0:0:221::"},
		{name: "64 bits", prefix: "2001:db8:122:344::/64", want: "2001:db8:122:344:c0:2:2100::"},
		{name: "96 bits", prefix: "2001:db8:122:344::/96", want: "2001:db8:122:344::192.0.2.33"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := embed(netip.MustParsePrefix(test.prefix), [4]byte{192, 0, 2, 33})
			if want := netip.MustParseAddr(test.want); netip.AddrFrom16([16]byte(got)) != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

func TestAnsweredQueriesAllocateNothing(t *testing.T) {
	h := build1(t, block.NewEnv(io.Discard), "")
	x := exchange(t)
	address := make([]byte, 16)
	chain := []plugin.Handler{h, block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error {
		x.Reply.Start(&x.Query, dns.RcodeSuccess)
		x.Reply.Address(wire.QuestionName, address, 5)
		return nil
	})}
	n := testing.AllocsPerRun(100, func() {
		x.Begin(nil, chain)
		if err := x.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations a query, want none", n)
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	const wrong = ` is not an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits such as 64:ff9b::/96`
	for _, test := range []struct {
		name, corefile, want string
	}{
		{name: "a length", corefile: ". {\n dns64 64:ff9b::/32 {\n  prefix 64:ff9b::/37\n }\n}", want: `Corefile:3: prefix: "64:ff9b::/37"` + wrong},
		{name: "IPv4", corefile: ". {\n dns64 10.0.0.0/32\n}", want: `Corefile:2: dns64: "10.0.0.0/32"` + wrong},
		{name: "no length", corefile: ". {\n dns64 64:ff9b::\n}", want: `Corefile:2: dns64: "64:ff9b::"` + wrong},
		{name: "two prefixes", corefile: ". {\n dns64 64:ff9b::/96 64:ff9b::/32\n}", want: `Corefile:2: dns64: wants at most 1 argument, but has 2; write "dns64 [PREFIX]"`},
		{
			name: "an unknown option", corefile: ". {\n dns64 {\n  allow_ip4\n }\n}",
			want: `Corefile:3: dns64: unknown option "allow_ip4"; did you mean "allow_ipv4"? (known options: allow_ipv4, prefix, translate_all)`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, test.corefile, "dns64"))
			if err == nil || err.Error() != test.want {
				t.Errorf("error is\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

func TestReadme(t *testing.T) {
	t.Parallel()
	block.BuildExamples(t, Spec())
}
