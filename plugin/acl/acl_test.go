package acl

import (
	"context"
	"io"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

const (
	passed   = "passed"
	refused  = "refused"
	emptied  = "emptied"
	silenced = "silenced"
)

// RFC 8914, sections 4.16 (Blocked, 15) and 4.18 (Filtered, 17).
func TestServe(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		corefile string // lines of the block "."
		question string // of example.org. where it is empty
		qtype    uint16 // A where it is 0
		client   string // 10.0.0.1 where it is empty
		want     string
	}{
		{name: "no policy", corefile: "acl", want: passed},
		{name: "everybody", corefile: "acl {\n block\n}", want: refused},
		{name: "everything, spelled out", corefile: "acl {\n block type * net *\n}", want: refused},
		{name: "filter", corefile: "acl {\n filter\n}", want: emptied},
		{name: "drop", corefile: "acl {\n drop\n}", want: silenced},
		{name: "upper case", corefile: "acl {\n BLOCK TYPE a NET 10.0.0.0/8\n}", want: refused},
		{name: "inside a network", corefile: "acl {\n block net 10.0.0.0/8\n}", client: "10.255.0.9", want: refused},
		{name: "outside a network", corefile: "acl {\n block net 10.0.0.0/8\n}", client: "11.0.0.0", want: passed},
		{name: "a network by an address in it", corefile: "acl {\n block net 10.9.9.9/8\n}", client: "10.1.1.1", want: refused},
		{name: "a single address", corefile: "acl {\n block net 10.0.0.1\n}", want: refused},
		{name: "the address beside it", corefile: "acl {\n block net 10.0.0.1\n}", client: "10.0.0.2", want: passed},
		{name: "the second of several lengths", corefile: "acl {\n block net 192.168.0.0/16 10.0.0.0/24 10.1.0.1\n}", want: refused},
		{name: "IPv6", corefile: "acl {\n block net fd00::/8\n}", client: "fd12::1", want: refused},
		{name: "IPv6 with a zone", corefile: "acl {\n block net fe80::/10\n}", client: "fe80::1%eth0", want: refused},
		{name: "an IPv4 network is not for IPv6", corefile: "acl {\n block net 0.0.0.0/0\n}", client: "fd12::1", want: passed},
		{name: "a mapped network", corefile: "acl {\n block net ::ffff:10.0.0.0/104\n}", want: refused},
		{name: "a listed type", corefile: "acl {\n block type TXT AAAA\n}", qtype: dns.TypeAAAA, want: refused},
		{name: "another type", corefile: "acl {\n block type TXT AAAA\n}", want: passed},
		{name: "type and network, one fits", corefile: "acl {\n block type A net 11.0.0.0/8\n}", want: passed},
		{name: "the first policy settles it", corefile: "acl {\n allow net 10.0.0.0/24\n block\n}", want: passed},
		{name: "the next one is for the others", corefile: "acl {\n allow net 10.0.0.0/24\n block\n}", client: "10.0.1.1", want: refused},
		{name: "inside the zone", corefile: "acl example.org {\n block\n}", question: "a.EXAMPLE.org.", want: refused},
		{name: "outside the zone", corefile: "acl example.org {\n block\n}", question: "anexample.org.", want: passed},
		{name: "rules in their order", corefile: "acl example.org {\n allow\n}\nacl {\n block\n}", want: passed},
		{name: "the rule for the rest", corefile: "acl example.org {\n allow\n}\nacl {\n block\n}", question: "example.com.", want: refused},
		{name: "a rule that settles nothing", corefile: "acl {\n block net 11.0.0.0/8\n}\nacl {\n filter\n}", want: emptied},
		{name: "sections repeated", corefile: "acl {\n block net 11.0.0.0/8 type A net 10.0.0.0/8\n}", want: refused},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := build1(t, test.corefile)
			m := new(dns.Msg).SetQuestion(or(test.question, "example.org."), max(test.qtype, dns.TypeA)).SetEdns0(1232, false)
			x := block.FromMsg(t, m)
			x.Client = netip.AddrPortFrom(netip.MustParseAddr(or(test.client, "10.0.0.1")), 40000)
			if err := block.Serve(x, h, block.Reply(dns.RcodeSuccess, "example.org. 5 IN TXT passed")); err != nil {
				t.Fatal(err)
			}
			if got := outcome(t, x); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func or(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

func build1(t *testing.T, corefile string) plugin.Handler {
	t.Helper()
	h, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, ". {\n"+corefile+"\n}", "acl"))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func outcome(t *testing.T, x *plugin.Exchange) string {
	t.Helper()
	if x.Reply.Dropped() {
		return silenced
	}
	m := block.Answer(t, x)
	if len(m.Answer) > 0 {
		return passed
	}
	options := m.IsEdns0().Option
	if len(options) != 1 {
		t.Fatalf("options %v, want one extended error", options)
	}
	switch ede := options[0].(*dns.EDNS0_EDE); {
	case m.Rcode == dns.RcodeRefused && ede.InfoCode == 15:
		return refused
	case m.Rcode == dns.RcodeSuccess && ede.InfoCode == 17:
		return emptied
	default:
		t.Fatalf("rcode %d with extended error %d", m.Rcode, ede.InfoCode)
	}
	return ""
}

// RFC 6891, section 7: a client that sent no OPT record gets none.
func TestNoExtendedErrorWithoutEDNS(t *testing.T) {
	t.Parallel()
	x := block.NewExchange(t, "example.org.", dns.TypeA)
	if err := block.Serve(x, build1(t, "acl {\n block\n}")); err != nil {
		t.Fatal(err)
	}
	if m := block.Answer(t, x); m.Rcode != dns.RcodeRefused || len(m.Extra) != 0 {
		t.Errorf("%v", m)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	env := block.NewEnv(io.Discard)
	h, err := Spec().Build(env, block.Lines(t, `. {
		acl example.org {
			block type A
			filter type AAAA
			drop type TXT
			allow
		}
	}`, "acl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct {
		name  string
		qtype uint16
	}{
		{"example.org.", dns.TypeA}, {"example.org.", dns.TypeAAAA}, {"a.example.org.", dns.TypeAAAA},
		{"example.org.", dns.TypeTXT}, {"example.org.", dns.TypeMX}, {"example.com.", dns.TypeA},
	} {
		if err := block.Serve(block.NewExchange(t, q.name, q.qtype), h, block.Reply(dns.RcodeSuccess)); err != nil {
			t.Fatal(err)
		}
	}
	x := block.NewExchange(t, "example.com.", dns.TypeA)
	x.View = "inside"
	if err := block.Serve(x, h, block.Reply(dns.RcodeSuccess)); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		`coredns_acl_allowed_requests_total{server="dns://:53",view="inside"}`:                1,
		`coredns_acl_allowed_requests_total{server="dns://:53",view=""}`:                      2,
		`coredns_acl_blocked_requests_total{server="dns://:53",view="",zone="example.org."}`:  1,
		`coredns_acl_filtered_requests_total{server="dns://:53",view="",zone="example.org."}`: 2,
		`coredns_acl_dropped_requests_total{server="dns://:53",view="",zone="example.org."}`:  1,
	}
	if diff := cmp.Diff(want, block.Counters(t, env)); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

func TestAllowedQueriesAllocateNothing(t *testing.T) {
	h := build1(t, "acl {\n block type TXT net 11.0.0.0/8\n allow net fd00::/8 10.0.0.0/16 10.240.0.0/16\n}")
	x := block.NewExchange(t, "example.org.", dns.TypeA)
	chain := []plugin.Handler{h, block.HandlerFunc(func(context.Context, *plugin.Exchange) error { return nil })}
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
	for _, test := range []struct {
		name, corefile, want string
	}{
		{
			name: "an unknown action", corefile: ". {\n acl {\n  blck type A\n }\n}",
			want: `Corefile:3: acl: unknown option "blck"; did you mean "block"? (known options: allow, block, drop, filter)`,
		},
		{
			name: "a word before a keyword", corefile: ". {\n acl {\n  block A net 10.0.0.0/8\n }\n}",
			want: `Corefile:3: block: "A" stands before "type" or "net"`,
		},
		{
			name: "nothing behind a keyword", corefile: ". {\n acl {\n  block type net 10.0.0.0/8\n  drop net\n }\n}",
			want: "Corefile:3: block: nothing stands behind \"type\"; write \"type *\" for all\n" +
				"Corefile:4: drop: nothing stands behind \"net\"; write \"net *\" for all",
		},
		{
			name: "no type", corefile: ". {\n acl {\n  block type ABC\n }\n}",
			want: `Corefile:3: block: "ABC" is not a record type such as A or PTR`,
		},
		{
			name: "no network", corefile: ". {\n acl {\n  block net 192.168.0/16 10.0.0.0/33 fe80::1%eth0\n }\n}",
			want: "Corefile:3: block: \"192.168.0/16\" is neither an address nor a network such as 10.0.0.0/8\n" +
				"Corefile:3: block: \"10.0.0.0/33\" is neither an address nor a network such as 10.0.0.0/8\n" +
				"Corefile:3: block: \"fe80::1%eth0\" is neither an address nor a network such as 10.0.0.0/8",
		},
		{
			name: "no zone", corefile: ". {\n acl a..b {\n  block\n }\n}",
			want: `Corefile:2: "a..b" is not a domain name: labels of 1 to 63 bytes, 255 in all, are wanted`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, test.corefile, "acl"))
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
