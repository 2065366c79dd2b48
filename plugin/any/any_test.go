package any

import (
	"context"
	"io"
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

// RFC 8482, section 4.2.
func TestServe(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		qtype uint16
		want  string
	}{
		{name: "ANY", qtype: dns.TypeANY, want: "eXample.org.\t8482\tIN\tHINFO\t\"ANY obsoleted\" \"See RFC 8482\""},
		{name: "A", qtype: dns.TypeA, want: "example.org.\t5\tIN\tA\t10.0.0.1"},
		{name: "HINFO", qtype: dns.TypeHINFO, want: "example.org.\t5\tIN\tA\t10.0.0.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			x := block.NewExchange(t, "eXample.org.", test.qtype)
			if err := block.Serve(x, Handler{}, block.Reply(dns.RcodeSuccess, "example.org. 5 IN A 10.0.0.1")); err != nil {
				t.Fatal(err)
			}
			m := block.Answer(t, x)
			if len(m.Answer) != 1 || m.Answer[0].String() != test.want || m.Authoritative || len(m.Ns)+len(m.Extra) != 0 {
				t.Errorf("want %s, got\n%s", test.want, m)
			}
		})
	}
}

func TestServeAllocatesNothing(t *testing.T) {
	for _, qtype := range []uint16{dns.TypeA, dns.TypeANY} {
		x := block.NewExchange(t, "example.org.", qtype)
		chain := []plugin.Handler{Handler{}, block.HandlerFunc(func(context.Context, *plugin.Exchange) error { return nil })}
		n := testing.AllocsPerRun(100, func() {
			x.Begin(nil, chain)
			if err := x.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations a query, want none", dns.Type(qtype), n)
		}
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile, want string
	}{
		{name: "an argument", corefile: ". {\n any way\n}", want: `Corefile:2: any: takes no argument, but has "way"`},
		{name: "options", corefile: ". {\n any {\n  hinfo\n }\n}", want: "Corefile:2: any: takes no options in { }"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, test.corefile, "any"))
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
