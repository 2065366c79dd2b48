package local

import (
	"context"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

func soaOf(owner string) string {
	return owner + "\t604800\tIN\tSOA\tlocalhost. root.localhost. 1 0 0 0 604800"
}

// RFC 6761, section 6.3; RFC 6303, section 4.
func TestServe(t *testing.T) {
	t.Parallel()
	const behind = "example.org.\t5\tIN\tA\t10.0.0.1"
	for _, test := range []struct {
		name      string
		corefile  string // "local" where it is empty
		question  string
		qtype     uint16
		rcode     int
		answer    string
		authority string
		counted   float64
	}{
		{name: "address", question: "LocalHost.", qtype: dns.TypeA, answer: "LocalHost.\t604800\tIN\tA\t127.0.0.1"},
		{name: "IPv6 address", question: "localhost.", qtype: dns.TypeAAAA, answer: "localhost.\t604800\tIN\tAAAA\t::1"},
		{name: "SOA", question: "localhost.", qtype: dns.TypeSOA, answer: soaOf("localhost.")},
		{name: "NS", question: "localhost.", qtype: dns.TypeNS, answer: "localhost.\t604800\tIN\tNS\tlocalhost."},
		{name: "another type", question: "localhost.", qtype: dns.TypeMX, authority: soaOf("localhost.")},
		{name: "below localhost", question: "a.b.localhost.", qtype: dns.TypeA, answer: "a.b.localhost.\t604800\tIN\tA\t127.0.0.1", counted: 1},
		{name: "below localhost, another type", question: "a.Localhost.", qtype: dns.TypeNS, authority: soaOf("a.Localhost."), counted: 1},
		{name: "begins with localhost", question: "LOCALHOST.example.org.", qtype: dns.TypeAAAA, answer: "LOCALHOST.example.org.\t604800\tIN\tAAAA\t::1", counted: 1},
		{name: "begins with localhost, another type", question: "localhost.example.org.", qtype: dns.TypeTXT, authority: soaOf("localhost.example.org."), counted: 1},
		{name: "the prefix is off", corefile: "local {\n localhost_prefix off\n}", question: "localhost.example.org.", qtype: dns.TypeA, answer: behind},
		{name: "the prefix is off, below localhost", corefile: "local {\n localhost_prefix off\n}", question: "localhost.localhost.", qtype: dns.TypeA, answer: "localhost.localhost.\t604800\tIN\tA\t127.0.0.1", counted: 1},
		{name: "the prefix is on", corefile: "local {\n localhost_prefix on\n}", question: "localhost.a.", qtype: dns.TypeA, answer: "localhost.a.\t604800\tIN\tA\t127.0.0.1", counted: 1},
		{name: "a label that only looks like it", question: `a\.localhost.`, qtype: dns.TypeA, answer: behind},
		{name: "a name that only ends like it", question: "mylocalhost.", qtype: dns.TypeA, answer: behind},
		{name: "loopback's name", question: "1.0.0.127.In-Addr.arpa.", qtype: dns.TypePTR, answer: "1.0.0.127.In-Addr.arpa.\t604800\tIN\tPTR\tlocalhost."},
		{name: "loopback's name, another type", question: "1.0.0.127.In-Addr.arpa.", qtype: dns.TypeA, authority: soaOf("127.In-Addr.arpa.")},
		{name: "another loopback address", question: "2.0.0.127.in-addr.arpa.", qtype: dns.TypePTR, rcode: dns.RcodeNameError, authority: soaOf("127.in-addr.arpa.")},
		{name: "broadcast", question: "255.255.255.255.in-addr.arpa.", qtype: dns.TypePTR, rcode: dns.RcodeNameError, authority: soaOf("255.in-addr.arpa.")},
		{name: "a reverse zone's SOA", question: "0.in-addr.arpa.", qtype: dns.TypeSOA, answer: soaOf("0.in-addr.arpa.")},
		{name: "a reverse zone's NS", question: "0.in-addr.arpa.", qtype: dns.TypeNS, answer: "0.in-addr.arpa.\t604800\tIN\tNS\tlocalhost."},
		{name: "a reverse zone's address", question: "0.in-addr.arpa.", qtype: dns.TypeA, authority: soaOf("0.in-addr.arpa.")},
		{name: "another reverse zone", question: "1.0.0.10.in-addr.arpa.", qtype: dns.TypePTR, answer: behind},
		{name: "another name", question: "example.org.", qtype: dns.TypeA, answer: behind},
		{name: "the root", question: ".", qtype: dns.TypeNS, answer: behind},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			corefile := test.corefile
			if corefile == "" {
				corefile = "local"
			}
			env := block.NewEnv(io.Discard)
			h, err := Spec().Build(env, block.Lines(t, ". {\n"+corefile+"\n}", "local"))
			if err != nil {
				t.Fatal(err)
			}
			x := block.NewExchange(t, test.question, test.qtype)
			if err := block.Serve(x, h, block.Reply(dns.RcodeSuccess, "example.org. 5 IN A 10.0.0.1")); err != nil {
				t.Fatal(err)
			}
			m := block.Answer(t, x)
			if diff := cmp.Diff([]string{test.answer, test.authority}, []string{text(m.Answer), text(m.Ns)}); diff != "" {
				t.Errorf("answer and authority (-want +got):\n%s", diff)
			}
			if m.Rcode != test.rcode || m.Authoritative || len(m.Extra) != 0 {
				t.Errorf("want rcode %d without AA, got\n%s", test.rcode, m)
			}
			if got := block.Counters(t, env)["coredns_local_localhost_requests_total{}"]; got != test.counted {
				t.Errorf("%v queries counted, want %v", got, test.counted)
			}
		})
	}
}

// text is a section of at most one record.
func text(section []dns.RR) (s string) {
	for _, rr := range section {
		s += rr.String()
	}
	return s
}

func TestServeAllocatesNothing(t *testing.T) {
	h, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, ". {\n local\n}", "local"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"example.org.", "localhost.", "a.localhost.", "2.0.0.127.in-addr.arpa."} {
		x := block.NewExchange(t, name, dns.TypeA)
		chain := []plugin.Handler{h, block.HandlerFunc(func(context.Context, *plugin.Exchange) error { return nil })}
		n := testing.AllocsPerRun(100, func() {
			x.Begin(nil, chain)
			if err := x.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations a query, want none", name, n)
		}
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile, want string
	}{
		{name: "an argument", corefile: ". {\n local host\n}", want: `Corefile:2: local: takes no argument, but has "host"`},
		{name: "an unknown option", corefile: ". {\n local {\n  prefix on\n }\n}", want: `Corefile:3: local: unknown option "prefix" (known options: localhost_prefix)`},
		{name: "neither on nor off", corefile: ". {\n local {\n  localhost_prefix yes\n }\n}", want: `Corefile:3: localhost_prefix: "yes" is none of on, off`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, test.corefile, "local"))
			if err == nil || err.Error() != test.want {
				t.Errorf("error is %v, want %s", err, test.want)
			}
		})
	}
}

func TestReadme(t *testing.T) {
	t.Parallel()
	block.BuildExamples(t, Spec())
}
