package template

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

func built(t testing.TB, env *plugin.Env, lines string) plugin.Handler {
	t.Helper()
	h, err := Spec().Build(env, block.Lines(t, ".:53 {\n"+lines+"\n}\n", "template"))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// next is the end of the chain: it answers as no template does, without AA.
func next(_ context.Context, x *plugin.Exchange) error {
	x.Reply.Start(&x.Query, dns.RcodeYXDomain)
	return nil
}

// shown is a reply as lines: rcode and flags, then records.
func shown(m *dns.Msg) string {
	lines := []string{dns.RcodeToString[m.Rcode]}
	if m.Authoritative {
		lines[0] += " aa"
	}
	if m.Truncated {
		lines[0] += " tc"
	}
	for _, section := range []struct {
		name    string
		records []dns.RR
	}{{"", m.Answer}, {"authority ", m.Ns}, {"additional ", m.Extra}} {
		for _, rr := range section.records {
			if rr.Header().Rrtype != dns.TypeOPT {
				lines = append(lines, section.name+strings.Join(strings.Fields(rr.String()), " "))
			}
		}
	}
	return strings.Join(lines, "\n")
}

func TestServe(t *testing.T) {
	t.Parallel()
	const ip = `template IN A example {
match ^ip-(?P<a>[0-9]*)-(?P<b>[0-9]*)-(?P<c>[0-9]*)-(?P<d>[0-9]*)[.]example[.]$
answer "{{ .Name }} 60 IN A {{ .Group.a }}.{{ .Group.b }}.{{ .Group.c }}.{{ .Group.d }}"
fallthrough
}`
	everything := func(text string) string { return "template ANY ANY {\nanswer \"" + text + "\"\n}" }
	for _, tc := range []struct {
		name, lines string
		ask         string // "IP-10-0-0-1.example. IN A" unless given
		want        string
	}{
		{name: "groups", lines: ip, want: "NOERROR aa\nip-10-0-0-1.example. 60 IN A 10.0.0.1"},
		{name: "no match goes on", lines: ip, ask: "x.example. IN A", want: "YXDOMAIN"},
		{name: "another type", lines: ip, ask: "ip-10-0-0-1.example. IN AAAA", want: "YXDOMAIN"},
		{name: "ANY is every type", lines: ip, ask: "ip-10-0-0-1.example. IN ANY", want: "NOERROR aa\nip-10-0-0-1.example. 60 IN A 10.0.0.1"},
		{name: "another class", lines: ip, ask: "ip-10-0-0-1.example. CH A", want: "YXDOMAIN"},
		{name: "class ANY is every class", lines: ip, ask: "ip-10-0-0-1.example. ANY A", want: "NOERROR aa\nip-10-0-0-1.example. 60 IN A 10.0.0.1"},
		{name: "another zone", lines: ip, ask: "ip-10-0-0-1.test. IN A", want: "YXDOMAIN"},
		{name: "no match, and no fallthrough", lines: "template IN A example {\nmatch ^x\n}", want: "SERVFAIL"},
		{name: "no match, and fallthrough of another zone", lines: "template IN A example {\nmatch ^x\nfallthrough a.example\n}", want: "SERVFAIL"},
		{name: "no match, and fallthrough of this zone", lines: "template IN A example {\nmatch ^x\nfallthrough a.example example\n}", want: "YXDOMAIN"},
		{name: "the next template", lines: "template IN A example {\nmatch ^x\nfallthrough\n}\ntemplate IN A example {\nrcode NXDOMAIN\n}", want: "NXDOMAIN aa"},
		{name: "another type, then the next template without fallthrough", lines: "template IN MX example\ntemplate IN A example {\nrcode REFUSED\n}", want: "REFUSED aa"},
		{name: "the first pattern that matches", lines: "template IN A {\nmatch ^x ^ip-(.*)-0 \nmatch ^ip-(.*)\nanswer \"{{ index .Match 1 }}. 1 IN A 10.0.0.1\"\n}", want: "NOERROR aa\n10-0. 1 IN A 10.0.0.1"},
		{name: "no options", lines: "template IN A", want: "NOERROR aa"},
		{name: "SERVFAIL has no records", lines: "template IN A {\nrcode SERVFAIL\nanswer \"a. 1 IN A 10.0.0.1\"\n}", want: "SERVFAIL"},
		{name: "all sections, several records", lines: `template IN MX example {
answer "{{ .Name }} 60 IN MX 10 a.example." "{{ .Name }} 60 IN MX 20 b.example."
answer "{{ .Name }} 60 IN MX 30 c.example."
additional "a.example. 60 IN A 10.0.0.1"
authority "example. 60 IN NS ns.example."
}`, ask: "example. IN MX", want: "NOERROR aa\nexample. 60 IN MX 10 a.example.\nexample. 60 IN MX 20 b.example.\nexample. 60 IN MX 30 c.example.\n" +
			"authority example. 60 IN NS ns.example.\nadditional a.example. 60 IN A 10.0.0.1"},
		{name: "names", lines: "template ANY ANY x.Example example {\nanswer \"a. 1 IN TXT {{ .Zone }}/{{ .Name }}/{{ .Class }}/{{ .Type }}/{{ .Question.Name }}/{{ .Remote }}/{{ .Regex }}\"\n}",
			ask: "A.x.example. IN MX", want: "NOERROR aa\na. 1 IN TXT \"x.example./a.x.example./IN/MX/A.x.example./10.240.0.1/.*\""},
		{name: "the template's class and type", lines: "template CH MX {\nanswer \"a. 1 IN TXT {{ .Class }}/{{ .Type }}\"\n}", ask: "a. ANY ANY", want: "NOERROR aa\na. 1 IN TXT \"CH/MX\""},
		{name: "the message", lines: everything("a. 1 IN TXT {{ .Message.RecursionDesired }}{{ len .Message.Question }}{{ .Question.Qtype }}"), want: "NOERROR aa\na. 1 IN TXT \"true11\""},
		{name: "metadata that nobody knows", lines: everything("a. 1 IN TXT x{{ .Meta \\\"a/b\\\" }}{{ index .Group \\\"0\\\" }}x"), want: "NOERROR aa\na. 1 IN TXT \"xip-10-0-0-1.example.x\""},
		{name: "parseInt of what is no number", lines: "template IN A {\nmatch ^(?P<x>..)-\nanswer \"a. 1 IN A 10.0.0.{{ parseInt .Group.x 16 8 }}\"\n}", ask: "ip-. IN A", want: "SERVFAIL error"},
		{name: "parseInt", lines: "template IN A {\nmatch ^ip-(..)-\nanswer \"a. 1 IN A 10.0.0.{{ parseInt (index .Match 1) 16 8 }}\"\n}", ask: "ip-ff-. IN A",
			want: "NOERROR aa\na. 1 IN A 10.0.0.255"},
		{name: "a name with escapes", lines: everything(`a. 1 IN TXT {{ len .Name }}`), ask: `a\.b.example. IN A`, want: "NOERROR aa\na. 1 IN TXT \"13\""},
		{name: "a variable", lines: "template IN A {\nmatch ^ip-(?P<ip>.*)[.]example\nvar ip replace(group('ip'), '-', '.')\nvar again ip + '!'\nanswer \"a. 1 IN TXT {{ .Var.ip }} {{ .Var.again }}\"\n}",
			want: "NOERROR aa\na. 1 IN TXT \"10.0.0.1\" \"10.0.0.1!\""},
		{name: "groups by number, and one that is not there", lines: "template IN A {\nmatch ^(ip)-\nvar x group(1) + group(0) + group(7) + group('x')\nanswer \"a. 1 IN TXT {{ .Var.x }}\"\n}", want: "NOERROR aa\na. 1 IN TXT \"ipip-\""},
		{name: "a condition that holds", lines: "template IN A {\nexpr incidr(client_ip(), '10.0.0.0/8')\nexpr type() == 'A'\n}", want: "NOERROR aa"},
		{name: "one of two conditions", lines: "template IN A {\nexpr type() == 'A'\nexpr type() == 'MX'\n}", want: "SERVFAIL"},
		{name: "a condition that does not hold, and fallthrough", lines: "template IN A {\nexpr false\nfallthrough\n}\ntemplate IN A {\nrcode NXDOMAIN\n}", want: "NXDOMAIN aa"},
		{name: "a condition that fails", lines: "template IN A {\nexpr incidr(name(), '10.0.0.0/8')\nfallthrough\n}", want: "SERVFAIL error"},
		{name: "a variable that fails", lines: "template IN A {\nvar x int(name())\nfallthrough\n}", want: "SERVFAIL error"},
		{name: "a record that is none", lines: everything("{{ .Name }} IN A nonsense"), want: "SERVFAIL error"},
		{name: "no record", lines: everything("{{ if false }}x{{ end }}"), want: "SERVFAIL error"},
		{name: "a template that fails", lines: everything("{{ index .Match 5 }}"), want: "SERVFAIL error"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if tc.ask == "" {
				tc.ask = "IP-10-0-0-1.example. IN A"
			}
			words := strings.Fields(tc.ask)
			m := new(dns.Msg).SetQuestion(words[0], dns.StringToType[words[2]])
			m.Question[0].Qclass = dns.StringToClass[words[1]]
			x := block.FromMsg(t, m)
			err := block.Serve(x, built(t, block.NewEnv(io.Discard), tc.lines), block.HandlerFunc(next))
			if tc.want == "SERVFAIL error" {
				if err == nil || !strings.HasPrefix(err.Error(), "template: a") || x.Reply.Made() {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, shown(block.Answer(t, x))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// RFC 8914, section 2: a code, and a text for people. Who sends no OPT record gets none (RFC 6891, section 7).
func TestExtendedError(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, line string
		edns       bool
		want       []dns.EDNS0
	}{
		{name: "code", line: "ederror 21", edns: true, want: []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: 21}}},
		{name: "code and reason", line: `ederror 21 "not here"`, edns: true, want: []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: 21, ExtraText: "not here"}}},
		{name: "the last one", line: "ederror 21 x\nederror 22", edns: true, want: []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: 22}}},
		{name: "without EDNS", line: "ederror 21"},
		{name: "none", line: "rcode NXDOMAIN", edns: true},
	} {
		m := new(dns.Msg).SetQuestion("a.", dns.TypeA)
		if tc.edns {
			m.SetEdns0(1232, false)
		}
		x := block.FromMsg(t, m)
		if err := block.Serve(x, built(t, block.NewEnv(io.Discard), "template IN A {\n"+tc.line+"\n}")); err != nil {
			t.Fatal(err)
		}
		opt := block.Answer(t, x).IsEdns0()
		if (opt != nil) != tc.edns {
			t.Errorf("%s: OPT %v", tc.name, opt)
		} else if opt != nil {
			if diff := cmp.Diff(tc.want, opt.Option); diff != "" {
				t.Errorf("%s: %s", tc.name, diff)
			}
		}
	}
}

// resolver is the server that targets are asked of.
type resolver struct {
	asked []string
	err   error
	none  bool
}

func (*resolver) Yield(*plugin.Exchange) error { return nil }

func (r *resolver) Resolve(_ context.Context, _ *plugin.Exchange, name wire.Name, qtype uint16) (*dns.Msg, error) {
	r.asked = append(r.asked, name.String()+" "+dns.Type(qtype).String())
	if r.err != nil || r.none {
		return nil, r.err
	}
	m := new(dns.Msg).SetQuestion(name.String(), qtype)
	m.Truncated = true
	m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: name.String(), Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 9}, A: []byte{192, 0, 2, 1}}}
	return m, nil
}

func TestCNAME(t *testing.T) {
	t.Parallel()
	const lines = "template IN ANY {\nanswer \"{{ .Name }} 60 IN CNAME target.test.\"\nanswer \"{{ .Name }} 60 IN TXT x\"\n}"
	const bare = "\na. 60 IN CNAME target.test.\na. 60 IN TXT \"x\""
	for _, tc := range []struct {
		name   string
		qtype  uint16
		server resolver
		asked  []string
		want   string
		log    string
	}{
		{name: "A", qtype: dns.TypeA, asked: []string{"target.test. A"}, want: "NOERROR aa tc\na. 60 IN CNAME target.test.\ntarget.test. 9 IN A 192.0.2.1\na. 60 IN TXT \"x\""},
		{name: "AAAA", qtype: dns.TypeAAAA, asked: []string{"target.test. AAAA"}, want: "NOERROR aa tc\na. 60 IN CNAME target.test.\ntarget.test. 9 IN A 192.0.2.1\na. 60 IN TXT \"x\""},
		{name: "another type", qtype: dns.TypeMX, want: "NOERROR aa" + bare},
		{name: "nothing is found out", qtype: dns.TypeA, server: resolver{err: errors.New("trouble")}, asked: []string{"target.test. A"}, want: "NOERROR aa" + bare,
			log: "[ERROR] the target of a. target.test.: trouble\n"},
		{name: "no reply", qtype: dns.TypeA, server: resolver{none: true}, asked: []string{"target.test. A"}, want: "NOERROR aa" + bare},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			log := new(block.Buffer)
			x := block.NewExchange(t, "a.", tc.qtype)
			x.Begin(&tc.server, []plugin.Handler{built(t, block.NewEnv(log), lines)})
			if err := x.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, shown(block.Answer(t, x))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !slices.Equal(tc.asked, tc.server.asked) || log.String() != tc.log {
				t.Errorf("asked %v, log %q", tc.server.asked, log)
			}
		})
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	knows := block.HandlerFunc(func(ctx context.Context, x *plugin.Exchange) error {
		x.Metadata = new(plugin.Metadata)
		x.Metadata.Set("kubernetes/client-namespace", "team-a")
		return x.Next(ctx)
	})
	x := block.NewExchange(t, "a.", dns.TypeTXT)
	h := built(t, block.NewEnv(io.Discard), "template IN TXT {\nanswer \"{{ .Name }} 60 IN TXT {{ .Meta \\\"kubernetes/client-namespace\\\" }}\"\n}")
	if err := block.Serve(x, knows, h); err != nil {
		t.Fatal(err)
	}
	if got := shown(block.Answer(t, x)); got != "NOERROR aa\na. 60 IN TXT \"team-a\"" {
		t.Error(got)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	env := block.NewEnv(io.Discard)
	h := built(t, env, "template IN A a.test {\nanswer \"{{ .Name }} IN A nonsense\"\n}\ntemplate IN A b.test {\nadditional \"{{ index .Match 5 }}\"\n}\n"+
		"template IN MX c.test {\nmatch ^x\n}\ntemplate IN MX c.test")
	for _, name := range []string{"a.test.", "b.test.", "x.c.test.", "y.c.test.", "d.test."} {
		x := block.NewExchange(t, name, dns.TypeA)
		if strings.HasSuffix(name, "c.test.") {
			x = block.NewExchange(t, name, dns.TypeANY)
		}
		_ = block.Serve(x, h, block.HandlerFunc(next)) // what becomes of it is counted
	}
	want := map[string]float64{
		`coredns_template_matches_total{class="IN",server="dns://:53",type="A",view="",zone="a.test."}`:                                                              1,
		`coredns_template_matches_total{class="IN",server="dns://:53",type="A",view="",zone="b.test."}`:                                                              1,
		`coredns_template_matches_total{class="IN",server="dns://:53",type="MX",view="",zone="c.test."}`:                                                             1,
		`coredns_template_rr_failures_total{class="IN",section="answer",server="dns://:53",template="{{.Name}} IN A nonsense",type="A",view="",zone="a.test."}`:      1,
		`coredns_template_template_failures_total{class="IN",section="additional",server="dns://:53",template="{{index .Match 5}}",type="A",view="",zone="b.test."}`: 1,
	}
	if diff := cmp.Diff(want, block.Counters(t, env)); diff != "" {
		t.Error(diff)
	}
}

// TestMissCost: a question that no template is about costs no allocation.
func TestMissCost(t *testing.T) {
	chain := []plugin.Handler{built(t, block.NewEnv(io.Discard), "template IN MX\ntemplate IN A example\ntemplate CH A"), block.HandlerFunc(next)}
	x := block.NewExchange(t, "www.test.", dns.TypeA)
	if n := testing.AllocsPerRun(100, func() {
		x.Begin(nil, chain)
		if err := x.Next(context.Background()); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestBuild(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, line, err string }{
		{name: "bare", line: "template ANY ANY"},
		{name: "zones", line: "template IN A example.org 10.0.0.0/8"},
		{name: "upstream is accepted", line: "template IN A {\nupstream 8.8.8.8\n}"},
		{name: "everything repeated", line: "template IN A {\nmatch a b\nmatch c\nanswer a\nanswer b\nrcode NXDOMAIN\nrcode NOERROR\nederror 1\nederror 2 b\nfallthrough\nfallthrough a\n}"},
		{name: "nothing", line: "template", err: `Corefile:2: template: wants at least 2 arguments, but has 0; write "template CLASS TYPE [ZONE...]"`},
		{name: "class and type", line: "template I AAA", err: "Corefile:2: template: \"I\" is not a class\nCorefile:2: template: \"AAA\" is not a type; did you mean \"AAAA\"?"},
		{name: "small letters", line: "template in a", err: `"in" is not a class; did you mean "IN"?`},
		{name: "a zone", line: "template IN A a..b", err: `"a..b" is not a domain name`},
		{name: "match without pattern", line: "template IN A {\nmatch\n}", err: `Corefile:3: match: wants at least 1 argument, but has 0; write "match REGEX..."`},
		{name: "a pattern", line: "template IN A {\nmatch (\n}", err: `Corefile:3: match: "(" is not a regular expression`},
		{name: "a long pattern", line: "template IN A {\nmatch " + strings.Repeat("a", longestPattern+1) + "\n}", err: "a regular expression of 10001 bytes is too long"},
		{name: "a template", line: "template IN A {\nanswer \"{{ .Name }\"\n}", err: `Corefile:3: answer: "{{ .Name }" is not a template: `},
		{name: "a function", line: "template IN A {\nauthority \"{{ parseUint }}\"\n}", err: `function "parseUint" not defined`},
		{name: "no record", line: "template IN A {\nadditional\n}", err: "Corefile:3: additional: wants at least 1 argument"},
		{name: "rcode", line: "template IN A {\nrcode NXDOMIAN\n}", err: `Corefile:3: rcode: "NXDOMIAN" is not a response code; did you mean "NXDOMAIN"?`},
		{name: "ederror", line: "template IN A {\nederror 65536\n}", err: `Corefile:3: ederror: "65536" is not the code of an extended error`},
		{name: "ederror with too much", line: "template IN A {\nederror 1 a b\n}", err: `ederror: wants 1 to 2 arguments, but has 3`},
		{name: "var without a value", line: "template IN A {\nvar ip\n}", err: `Corefile:3: var: wants at least 2 arguments, but has 1; write "var NAME EXPRESSION"`},
		{name: "var that is no name", line: "template IN A {\nvar 1p 2\n}", err: `Corefile:3: var: "1p" cannot be the name of a variable`},
		{name: "var of a function's name", line: "template IN A {\nvar client_ip 2\n}", err: `Corefile:3: var: "client_ip" is the name of something else`},
		{name: "var of a word of the language", line: "template IN A {\nvar nil 2\n}", err: `"nil" is the name of something else`},
		{name: "var twice", line: "template IN A {\nvar a 2\nvar a 3\n}", err: `Corefile:4: var: "a" is the name of something else`},
		{name: "var that is used before", line: "template IN A {\nexpr a == 1\nvar a 1\n}", err: "Corefile:3: expr: unknown name a"},
		{name: "expr that is no condition", line: "template IN A {\nexpr group(1)\n}", err: `Corefile:3: expr: expected bool, but got string in "group(1)"`},
		{name: "expr with a block that is none", line: "template IN A {\nexpr incidr(group(1), '10.0.0.0/33')\n}", err: `Corefile:3: expr: incidr: "10.0.0.0/33" is not an address block`},
		{name: "unknown", line: "template IN A {\nanwser x\n}", err: `Corefile:3: template: unknown option "anwser"; did you mean "answer"?`},
		{name: "all at once", line: "template IN A {\nmatch (\nrcode x\n}", err: "Corefile:4: rcode:"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, ".:53 {\n"+tc.line+"\n}\n", "template"))
			switch {
			case tc.err == "" && err != nil:
				t.Error(err)
			case tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)):
				t.Errorf("error %v, want %s", err, tc.err)
			}
		})
	}
}

func TestExamples(t *testing.T) { block.BuildExamples(t, Spec()) }
