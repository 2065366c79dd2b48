package minimal

import (
	"context"
	"io"
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

func TestServe(t *testing.T) {
	t.Parallel()
	a := []string{"example.org. 5 IN A 10.0.0.1"}
	soa := []string{"example.org. 5 IN SOA ns.example.org. h.example.org. 1 2 3 4 5"}
	ns := []string{"example.org. 5 IN NS ns.example.org."}
	for _, test := range []struct {
		name      string
		qtype     uint16 // A where it is 0
		rcode     int
		answer    []string
		authority []string
		stays     bool
	}{
		{name: "an answer with name servers", answer: a, authority: ns},
		{name: "an answer with an SOA", answer: a, authority: soa},
		{name: "neither answer nor authority"},
		{name: "no data (RFC 2308, section 2.2)", authority: soa, stays: true},
		{name: "no such name (RFC 2308, section 2.1)", rcode: dns.RcodeNameError, authority: soa, stays: true},
		{name: "no such name behind an alias", rcode: dns.RcodeNameError, answer: a, authority: soa, stays: true},
		{name: "a delegation (RFC 1034, section 4.3.2)", authority: ns, stays: true},
		{name: "a failure", rcode: dns.RcodeServerFailure, authority: soa, stays: true},
		{name: "refused", rcode: dns.RcodeRefused, stays: true},
		{name: "a zone transfer (RFC 5936)", qtype: dns.TypeAXFR, answer: soa, authority: ns, stays: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			qtype := max(test.qtype, dns.TypeA)
			x := block.FromMsg(t, new(dns.Msg).SetQuestion("example.org.", qtype).SetEdns0(1232, false))
			end := block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error {
				m := new(dns.Msg).SetRcode(new(dns.Msg).SetQuestion("example.org.", qtype), test.rcode)
				m.Answer, m.Ns = records(t, test.answer), records(t, test.authority)
				m.Extra = records(t, []string{"ns.example.org. 5 IN A 10.0.0.2"})
				defer x.Reply.AddOption(dns.EDNS0EDE, []byte{0, 3})
				return x.Reply.SetMsg(&x.Query, m)
			})
			if err := block.Serve(x, Handler{}, end); err != nil {
				t.Fatal(err)
			}
			m := block.Answer(t, x)
			opt := m.IsEdns0()
			if opt == nil {
				t.Fatal("the OPT record is missing")
			}
			authority, extra, options := 0, 1, 0
			if test.stays {
				authority, extra, options = len(test.authority), 2, 1
			}
			if len(m.Answer) != len(test.answer) || len(m.Ns) != authority || len(m.Extra) != extra || len(opt.Option) != options {
				t.Errorf("want %d, %d and %d records and %d options, got\n%s", len(test.answer), authority, extra, options, m)
			}
			if m.Rcode != test.rcode {
				t.Errorf("rcode %d, want %d", m.Rcode, test.rcode)
			}
		})
	}
}

func records(t *testing.T, texts []string) (list []dns.RR) {
	t.Helper()
	for _, text := range texts {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, rr)
	}
	return list
}

func TestWithoutReply(t *testing.T) {
	t.Parallel()
	x := block.NewExchange(t, "example.org.", dns.TypeA)
	dropping := block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error {
		x.Reply.Drop()
		return nil
	})
	if err := block.Serve(x, Handler{}, dropping); err != nil || !x.Reply.Dropped() {
		t.Errorf("error %v, dropped %v", err, x.Reply.Dropped())
	}
	if err := block.Serve(x, Handler{}); err != plugin.ErrNoHandler {
		t.Errorf("error %v, want that of the chain's end", err)
	}
}

func TestServeAllocatesNothing(t *testing.T) {
	x := block.NewExchange(t, "example.org.", dns.TypeA)
	chain := []plugin.Handler{Handler{}, block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error {
		x.Reply.Start(&x.Query, dns.RcodeSuccess)
		x.Reply.Address(wire.QuestionName, []byte{10, 0, 0, 1}, 5)
		x.Reply.Section(wire.Additional)
		x.Reply.Address(wire.QuestionName, []byte{10, 0, 0, 2}, 5)
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
	for _, test := range []struct {
		name, corefile, want string
	}{
		{name: "an argument", corefile: ". {\n minimal all\n}", want: `Corefile:2: minimal: takes no argument, but has "all"`},
		{name: "options", corefile: ". {\n minimal {\n }\n}", want: "Corefile:2: minimal: takes no options in { }"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, test.corefile, "minimal"))
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
