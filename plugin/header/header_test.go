package header

import (
	"context"
	"io"
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

// RFC 1035, section 4.1.1.
func TestServe(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		rules string
		query string // its flags behind the directive
		reply string // its flags in front of it
	}{
		{name: "set in replies", rules: "response set ra aa", query: "rd", reply: "qr,aa,rd,ra"},
		{name: "clear in replies", rules: "response clear rd", query: "rd", reply: "qr"},
		{name: "set in queries", rules: "query set aa ra", query: "aa,rd,ra", reply: "qr,rd"},
		{name: "replies take RD over", rules: "query clear rd", query: "", reply: "qr"},
		{name: "both", rules: "query clear rd\n response set rd ra", query: "", reply: "qr,rd,ra"},
		{name: "the last line wins", rules: "response set ra aa\n response clear ra", query: "rd", reply: "qr,aa,rd"},
		{name: "the last word of a line wins nothing over another flag", rules: "response clear aa\n response set ra aa", query: "rd", reply: "qr,aa,rd,ra"},
		{name: "upper case", rules: "RESPONSE SET RA", query: "rd", reply: "qr,rd,ra"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, ". {\n header {\n "+test.rules+"\n }\n}", "header"))
			if err != nil {
				t.Fatal(err)
			}
			x := block.NewExchange(t, "example.org.", dns.TypeA)
			end := block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error {
				m := new(dns.Msg)
				if err := m.Unpack(x.Query.Packet()); err != nil {
					return err
				}
				if got := letters(m.Authoritative, "aa", m.RecursionDesired, "rd", m.RecursionAvailable, "ra"); got != test.query {
					t.Errorf("the query has %q, want %q", got, test.query)
				}
				x.Reply.Start(&x.Query, dns.RcodeSuccess)
				return nil
			})
			if err := block.Serve(x, h, end); err != nil {
				t.Fatal(err)
			}
			m := block.Answer(t, x)
			got := letters(m.Response, "qr", m.Authoritative, "aa", m.RecursionDesired, "rd", m.RecursionAvailable, "ra")
			if got != test.reply {
				t.Errorf("the reply has %q, want %q", got, test.reply)
			}
		})
	}
}

// letters joins the names of the flags that are set.
func letters(flags ...any) (text string) {
	for i := 0; i < len(flags); i += 2 {
		if !flags[i].(bool) {
			continue
		}
		if text != "" {
			text += ","
		}
		text += flags[i+1].(string)
	}
	return text
}

func TestErrorsPass(t *testing.T) {
	t.Parallel()
	if err := block.Serve(block.NewExchange(t, "example.org.", dns.TypeA), &Handler{}); err != plugin.ErrNoHandler {
		t.Errorf("error %v, want that of the chain's end", err)
	}
}

func TestServeAllocatesNothing(t *testing.T) {
	h, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, ". {\n header {\n query set rd\n response set ra\n }\n}", "header"))
	if err != nil {
		t.Fatal(err)
	}
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
		{name: "no rule", corefile: ". {\n header\n}", want: `Corefile:2: header: has no rule; write "query|response set|clear aa|ra|rd..." in { }`},
		{name: "an argument", corefile: ". {\n header x {\n  query set rd\n }\n}", want: `Corefile:2: header: takes no argument, but has "x"`},
		{
			name: "an unknown selector", corefile: ". {\n header {\n  reply set ra\n }\n}",
			want: `Corefile:3: header: unknown option "reply" (known options: query, response)`,
		},
		{name: "no flag", corefile: ". {\n header {\n  query set\n }\n}", want: `Corefile:3: query: wants at least 2 arguments, but has 1; write "query set|clear aa|ra|rd..."`},
		{
			name: "everything wrong", corefile: ". {\n header {\n  query put rd\n  response set tc qr\n }\n}",
			want: "Corefile:3: query: \"put\" is neither set nor clear\n" +
				"Corefile:4: response: \"tc\" is none of the flags aa, ra, rd\n" +
				"Corefile:4: response: \"qr\" is none of the flags aa, ra, rd",
		},
		{
			name: "twice", corefile: ". {\n header {\n  query set rd\n }\n header {\n  query set rd\n }\n}",
			want: "Corefile:5: header: given twice in a server block; the first one is at Corefile:2",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, test.corefile, "header"))
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
