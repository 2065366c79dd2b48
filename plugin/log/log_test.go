package log

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

var read = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC) // when queries are read

// newHandler is the handler of all log directives in a Corefile, with a clock 37.990251 ms after read, and its log.
func newHandler(t testing.TB, corefile string) (*Handler, *block.Buffer) {
	t.Helper()
	log := new(block.Buffer)
	env := block.NewEnv(log)
	env.Now = func() time.Time { return read.Add(37990251 * time.Nanosecond) }
	h, err := Spec().Build(env, block.Lines(t, corefile, "log"))
	if err != nil {
		t.Fatal(err)
	}
	return h.(*Handler), log
}

// newQuery is a query as CoreDNS's documentation shows one: "A IN Example.org." with DO and a size of 4096.
func newQuery(t testing.TB) *plugin.Exchange {
	t.Helper()
	m := new(dns.Msg).SetQuestion("Example.org.", dns.TypeA)
	m.Id = 29008
	m.SetEdns0(4096, false)
	x := block.FromMsg(t, m)
	x.Client, x.Now = netip.MustParseAddrPort("127.0.0.1:50759"), read
	return x
}

func answer() plugin.Handler {
	return block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error {
		x.Reply.Start(&x.Query, dns.RcodeSuccess)
		x.Reply.SetAuthoritative(true)
		x.Reply.Address(wire.QuestionName, []byte{10, 0, 0, 1}, 5)
		return nil
	})
}

func drop() plugin.Handler {
	return block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error {
		x.Reply.Drop()
		return nil
	})
}

func fail() plugin.Handler {
	return block.HandlerFunc(func(context.Context, *plugin.Exchange) error { return errors.New("no upstream") })
}

func TestLine(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		line   string
		change func(*plugin.Exchange)
		end    plugin.Handler
		want   string
	}{
		{
			name: "the common format", line: "log", end: answer(),
			want: "[INFO] 127.0.0.1:50759 - 29008 \"A IN example.org. udp 40 false 4096\" NOERROR qr,aa,rd 45 0.037990251s\n",
		},
		{
			name: "the combined format", line: "log . {combined}", end: answer(),
			want: "[INFO] 127.0.0.1:50759 - 29008 \"A IN example.org. udp 40 false 4096\" NOERROR qr,aa,rd 45 0.037990251s \"0\"\n",
		},
		{
			name: "IPv6 and TCP", line: `log . "{remote} {local} {proto} {>bufsize}"`, end: answer(),
			change: func(x *plugin.Exchange) {
				x.Client, x.Local = netip.MustParseAddrPort("[fe80::1%eth0]:1"), netip.MustParseAddrPort("[2001:db8::1]:53")
				x.Transport = plugin.TCP
			},
			want: "[INFO] [fe80::1%eth0] [2001:db8::1] tcp 65535\n",
		},
		{
			name: "no local address", line: `log . "{local}"`, end: answer(),
			change: func(x *plugin.Exchange) { x.Local = netip.AddrPort{} }, want: "[INFO] -\n",
		},
		{
			name: "an error becomes SERVFAIL", line: "log", end: fail(),
			want: "[INFO] 127.0.0.1:50759 - 29008 \"A IN example.org. udp 40 false 4096\" SERVFAIL qr,rd 29 0.037990251s\n",
		},
		{
			name: "no reply", line: `log . "{rcode} {>rflags} {rsize} {/log/class} {/log/type}"`, end: drop(),
			want: "[INFO] - - 0 error OTHERERROR\n",
		},
		{name: "an rcode without name", line: `log . "{rcode}"`, end: block.Reply(14), want: "[INFO] 14\n"},
		{name: "no metadata", line: `log . "{/kubernetes/namespace} {/log/class} {/log/type}"`, end: answer(), want: "[INFO] - success NOERROR\n"},
		{name: "a format alone", line: `log "{name}"`, end: answer(), want: "[INFO] example.org.\n"},
		{name: "braces that are text", line: `log . "} {foo} { {name} {{type}} {"`, end: answer(), want: "[INFO] } {foo} { example.org. {A} {\n"},
		{name: "text alone", line: `log . "{a"`, end: answer(), want: "[INFO] {a\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, log := newHandler(t, ". {\n "+test.line+"\n}")
			x := newQuery(t)
			if test.change != nil {
				test.change(x)
			}
			_ = block.Serve(x, h, test.end) // TestErrorPasses looks at the error
			if got := log.String(); got != test.want {
				t.Errorf("log is\n%s, want\n%s", got, test.want)
			}
		})
	}
}

// Values that a query has, be they empty, and one that it has not.
func TestMetadata(t *testing.T) {
	t.Parallel()
	h, log := newHandler(t, ". {\n log . \"{/a/value} {/a/nothing}| {/a/none}\"\n}")
	knowing := block.HandlerFunc(func(ctx context.Context, x *plugin.Exchange) error {
		x.Metadata = new(plugin.Metadata)
		x.Metadata.Set("a/value", "shop")
		x.Metadata.Set("a/nothing", "")
		return x.Next(ctx)
	})
	if err := block.Serve(newQuery(t), knowing, h, answer()); err != nil {
		t.Fatal(err)
	}
	if got, want := log.String(), "[INFO] shop | -\n"; got != want {
		t.Errorf("log is %q, want %q", got, want)
	}
}

func TestErrorPasses(t *testing.T) {
	t.Parallel()
	h, _ := newHandler(t, ". {\n log\n}")
	x := newQuery(t)
	if err := block.Serve(x, h, fail()); err == nil || err.Error() != "no upstream" {
		t.Errorf("error is %v, want the chain's", err)
	}
	if x.Reply.Made() {
		t.Error("a reply was made of an error: that is the server's affair")
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile, want string
	}{
		{name: "another zone", corefile: ". {\n log example.com\n}"},
		{name: "no part of a label", corefile: ". {\n log ample.org\n}"},
		{name: "one of two", corefile: ". {\n log example.com example.org \"{name}\"\n}", want: "[INFO] example.org.\n"},
		{name: "the first rule decides", corefile: ". {\n log org \"first {name}\"\n log . \"second {name}\"\n}", want: "[INFO] first example.org.\n"},
		{name: "though its class does not fit", corefile: ". {\n log org {\n  class denial\n }\n log\n}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, log := newHandler(t, test.corefile)
			if err := block.Serve(newQuery(t), h, answer()); err != nil {
				t.Fatal(err)
			}
			if got := log.String(); got != test.want {
				t.Errorf("log is %q, want %q", got, test.want)
			}
		})
	}
}

const soa = "org. 60 IN SOA ns.org. root.org. 1 2 3 4 5"

func TestClass(t *testing.T) {
	t.Parallel()
	sig := func(until string) string {
		return "example.org. 60 IN RRSIG A 8 2 60 " + until + " 20260101000000 1 example.org. AAAA"
	}
	for _, test := range []struct {
		name  string
		qtype uint16
		do    bool
		end   plugin.Handler
		class string
		kind  string
	}{
		{name: "an answer", end: answer(), class: "success", kind: "NOERROR"},
		{name: "nothing at all", end: block.Reply(dns.RcodeSuccess), class: "success", kind: "NOERROR"},
		{name: "a delegation", end: block.Reply(dns.RcodeSuccess, "org. 60 IN NS ns.org."), class: "success", kind: "DELEGATION"},
		{name: "NODATA (RFC 2308, section 2.2)", end: block.Reply(dns.RcodeSuccess, soa), class: "denial", kind: "NODATA"},
		{name: "NXDOMAIN (RFC 2308, section 2.1)", end: block.Reply(dns.RcodeNameError, soa), class: "denial", kind: "NXDOMAIN"},
		{
			name: "NXDOMAIN behind an alias", end: block.Reply(dns.RcodeNameError, "example.org. 60 IN CNAME gone.org."),
			class: "error", kind: "OTHERERROR",
		},
		{name: "SERVFAIL", end: block.Reply(dns.RcodeServerFailure), class: "error", kind: "SERVERERROR"},
		{name: "NOTIMP", end: block.Reply(dns.RcodeNotImplemented), class: "error", kind: "SERVERERROR"},
		{name: "REFUSED", end: block.Reply(dns.RcodeRefused), class: "error", kind: "OTHERERROR"},
		{name: "no reply", end: drop(), class: "error", kind: "OTHERERROR"},
		{name: "an error", end: fail(), class: "error", kind: "SERVERERROR"},
		{name: "a transfer", qtype: dns.TypeAXFR, end: answer(), class: "error", kind: "META"},
		{
			name: "a good signature (RFC 4034, section 3.1.5)", do: true,
			end: block.Reply(dns.RcodeSuccess, sig("20270101000000")), class: "success", kind: "NOERROR",
		},
		{
			name: "an expired signature", do: true,
			end: block.Reply(dns.RcodeSuccess, sig("20260301000000")), class: "error", kind: "OTHERERROR",
		},
		{
			name: "an expired signature without DO",
			end:  block.Reply(dns.RcodeSuccess, sig("20260301000000")), class: "success", kind: "NOERROR",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, class := range []string{"success", "denial", "error", "all", "success denial error"} {
				h, log := newHandler(t, `. {
					log . "{/log/class} {/log/type}" {
						class `+class+`
					}
				}`)
				m := new(dns.Msg).SetQuestion("example.org.", max(test.qtype, dns.TypeA))
				if test.do {
					m.SetEdns0(4096, true)
				}
				_ = block.Serve(block.FromMsg(t, m), h, test.end)
				want := ""
				if class == test.class || class == "all" || class == "success denial error" {
					want = "[INFO] " + test.class + " " + test.kind + "\n"
				}
				if got := log.String(); got != want {
					t.Errorf("class %s: log is %q, want %q", class, got, want)
				}
			}
		})
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile, want string
	}{
		{name: "a bad name", corefile: ". {\n log example..org {common}\n}", want: `Corefile:2: "example..org" is not a domain name: labels of 1 to 63 bytes, 255 in all, are wanted`},
		{name: "no class", corefile: ". {\n log {\n  class\n }\n}", want: `Corefile:3: class: wants at least 1 argument, but has 0; write "class success|denial|error|all..."`},
		{name: "an unknown class", corefile: ". {\n log {\n  class nxdomain\n }\n}", want: `Corefile:3: class: "nxdomain" is none of all, success, denial, error`},
		{name: "an unknown option", corefile: ". {\n log {\n  clas all\n }\n}", want: `Corefile:3: log: unknown option "clas"; did you mean "class"? (known options: class)`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, test.corefile, "log"))
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

func BenchmarkServe(b *testing.B) {
	env := block.NewEnv(io.Discard)
	h, err := Spec().Build(env, block.Lines(b, ". {\n log\n}", "log"))
	if err != nil {
		b.Fatal(err)
	}
	x, chain := newQuery(b), []plugin.Handler{h, answer()}
	b.ReportAllocs()
	for b.Loop() {
		x.Begin(nil, chain)
		if err := x.Next(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
