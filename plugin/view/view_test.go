package view

import (
	"context"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

// newHandler is the started handler of a directive's body, in a block with other handlers.
func newHandler(t testing.TB, body string, others ...plugin.Handler) *Handler {
	t.Helper()
	env := block.NewEnv(io.Discard)
	h, err := Spec().Build(env, block.Lines(t, ". {\n view inside {\n"+body+"\n }\n}", "view"))
	if err != nil {
		t.Fatal(err)
	}
	env.Instance = block.Instance{
		{Zone: "other.", Handlers: []plugin.Handler{facts{"kubernetes/kind": "other"}}},
		{Zone: ".", Handlers: append(others, h)},
	}
	if err := h.(*Handler).Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h.(*Handler)
}

// facts is a directive metadata, and its only provider.
type facts map[string]string

func (facts) Name() string { return "metadata" }

func (facts) Serve(ctx context.Context, x *plugin.Exchange) error { return x.Next(ctx) }

func (f facts) Metadata(_ *plugin.Asked, label string) (string, bool) {
	value, ok := f[label]
	return value, ok
}

func (f facts) Collect(x *plugin.Exchange) *plugin.Metadata {
	m := new(plugin.Metadata)
	m.Begin(x, []plugin.Provider{f})
	return m
}

// The query is one for "WWW.Example.org." A from 10.240.0.1:40212 to 10.96.0.10:53, with an OPT record.
func TestAdmits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		exprs  string
		client string
		tcp    bool
		want   bool
	}{
		{name: "no expression", want: true},
		{name: "true", exprs: "expr true", want: true},
		{name: "type", exprs: "expr type() == 'A'", want: true},
		{name: "another type", exprs: "expr type() in ['AAAA', 'MX']"},
		{name: "name, in lower case", exprs: "expr name() == 'www.example.org.'", want: true},
		{name: "a pattern", exprs: `expr name() matches '^www\\..*\\.org\\.$'`, want: true},
		{name: "words of a string", exprs: "expr name() endsWith '.org.' && name() startsWith 'www'", want: true},
		{name: "class", exprs: "expr class() == 'IN'", want: true},
		{name: "UDP", exprs: "expr proto() == 'udp' && bufsize() == 1400", want: true},
		{name: "TCP", exprs: "expr proto() == 'tcp' && bufsize() == 65535", tcp: true, want: true},
		{name: "size, ID, opcode", exprs: "expr size() > 40 && size() < 60 && id() == 4711 && opcode() == 0", want: true},
		{name: "DO", exprs: "expr do()", want: true},
		{name: "client", exprs: "expr client_ip() == '10.240.0.1' && port() == '40212'", want: true},
		{name: "server", exprs: "expr server_ip() == '10.96.0.10' && server_port() == '53'", want: true},
		{name: "inside", exprs: "expr incidr(client_ip(), '10.240.0.0/16')", want: true},
		{name: "an address in a block", exprs: "expr incidr(client_ip(), '10.240.7.9/16')", want: true},
		{name: "outside", exprs: "expr incidr(client_ip(), '10.241.0.0/16')"},
		{name: "not outside", exprs: "expr not incidr(client_ip(), '10.241.0.0/16')", want: true},
		{name: "IPv6", exprs: "expr incidr(client_ip(), '2001:db8::/32')", client: "2001:db8::7", want: true},
		{name: "IPv6 is in no block of IPv4", exprs: "expr incidr(client_ip(), '0.0.0.0/0')", client: "2001:db8::7"},
		{name: "a mapped block", exprs: "expr incidr(client_ip(), '::ffff:10.240.0.0/112')", want: true},
		{name: "an address with a zone fails", exprs: "expr incidr(client_ip(), 'fe80::/10')", client: "fe80::1%eth0"},
		{name: "no address fails", exprs: "expr incidr(name(), '0.0.0.0/0') || do()"},
		{name: "no block fails", exprs: "expr incidr(client_ip(), name()) || do()"},
		{name: "metadata", exprs: "expr metadata('kubernetes/kind') == 'svc' && metadata('none') == ''", want: true},
		{name: "both lines", exprs: "expr type() == 'A'\nexpr do()", want: true},
		{name: "one of two lines", exprs: "expr type() == 'A'\nexpr not do()"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHandler(t, test.exprs, facts{"kubernetes/kind": "svc"})
			m := new(dns.Msg).SetQuestion("WWW.Example.org.", dns.TypeA).SetEdns0(1400, true)
			m.Id = 4711
			x := block.FromMsg(t, m)
			if test.client != "" {
				x.Client = netip.AddrPortFrom(netip.MustParseAddr(test.client), 53)
			}
			if test.tcp {
				x.Transport = plugin.TCP
			}
			for range 2 { // the second time with what the pool kept
				if got := h.Admits(x); got != test.want {
					t.Errorf("admitted: %v, want %v", got, test.want)
				}
			}
		})
	}
}

func TestMetadataMissing(t *testing.T) {
	t.Parallel()
	h := newHandler(t, "expr metadata('kubernetes/kind') == ''")
	if !h.Admits(block.NewExchange(t, "example.org.", dns.TypeA)) {
		t.Error("not admitted, but without the directive metadata every label is empty")
	}
}

func TestViewName(t *testing.T) {
	t.Parallel()
	h := newHandler(t, "")
	if value, ok := h.Metadata(nil, "view/name"); h.View() != "inside" || value != "inside" || !ok {
		t.Errorf("view %q, label %q", h.View(), value)
	}
	if _, ok := h.Metadata(nil, "view/other"); ok {
		t.Error("a label that the directive does not have")
	}
	if err := block.Serve(block.NewExchange(t, "example.org.", dns.TypeA), h, block.Reply(dns.RcodeSuccess)); err != nil {
		t.Error(err)
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile string
		want           string // how the error begins
	}{
		{name: "no name", corefile: "view", want: `Corefile:2: view: wants 1 argument, but has 0; write "view NAME"`},
		{name: "no expression", corefile: "view a {\n expr\n}", want: `Corefile:3: expr: wants at least 1 argument, but has 0; write "expr EXPRESSION"`},
		{name: "an unknown function", corefile: "view a {\n expr nam() == 'a.'\n}", want: `Corefile:3: expr: unknown name nam in "nam() == 'a.'"`},
		{name: "a wrong type", corefile: "view a {\n expr id() == 'a'\n}", want: "Corefile:3: expr: invalid operation: == (mismatched types int and string)"},
		{name: "neither true nor false", corefile: "view a {\n expr 1\n}", want: "Corefile:3: expr: expected bool, but got int"},
		{name: "unfinished", corefile: "view a {\n expr type() ==\n}", want: "Corefile:3: expr: unexpected token EOF"},
		{name: "a bad block", corefile: "view a {\n expr incidr(client_ip(), '10.0.0.0/33')\n}", want: `Corefile:3: expr: incidr: "10.0.0.0/33" is not an address block such as 10.0.0.0/8`},
		{name: "an unknown option", corefile: "view a {\n exprs true\n}", want: `Corefile:3: view: unknown option "exprs"; did you mean "expr"?`},
		{name: "twice", corefile: "view a\nview b", want: "Corefile:3: view: given twice in a server block; the first one is at Corefile:2"},
		{name: "all at once", corefile: "view {\n expr nam()\n expr 1\n}", want: `Corefile:2: view: wants 1 argument, but has 0; write "view NAME"` + "\nCorefile:3: expr: unknown name nam in \"nam()\"\nCorefile:4: expr: expected bool"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, ". {\n"+test.corefile+"\n}", "view"))
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("error is\n%v\nwant\n%s...", err, test.want)
			}
		})
	}
}

func TestReadme(t *testing.T) {
	t.Parallel()
	block.BuildExamples(t, Spec())
}

func BenchmarkAdmits(b *testing.B) {
	h := newHandler(b, "expr incidr(client_ip(), '10.240.0.0/16') && type() in ['A', 'AAAA']")
	x := block.NewExchange(b, "example.org.", dns.TypeA)
	b.ReportAllocs()
	for b.Loop() {
		h.Admits(x)
	}
}
