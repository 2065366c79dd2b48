package chaos

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

// RFC 4892, section 3.
func TestServe(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		corefile string
		question string
		qtype    uint16   // TXT where it is 0
		class    uint16   // CH where it is 0
		want     []string // none: handed on
	}{
		{name: "the default version", corefile: "chaos", question: "VERSION.bind.", want: []string{"Nameplane-0.0.0-test"}},
		{name: "a version", corefile: "chaos mine-1", question: "version.server.", want: []string{"mine-1"}},
		{name: "a long version is cut", corefile: "chaos " + strings.Repeat("v", 300), question: "version.bind.", want: []string{strings.Repeat("v", 255)}},
		{name: "a long version with authors is cut too", corefile: "chaos " + strings.Repeat("v", 300) + " me", question: "version.bind.", want: []string{strings.Repeat("v", 255)}},
		{name: "authors", corefile: "chaos v b@example.org a@example.org b@example.org", question: "authors.bind.", want: []string{"a@example.org", "b@example.org"}},
		{name: "the default authors", corefile: "chaos v", question: "authors.bind.", want: []string{"The Nameplane authors"}},
		{name: "the host", corefile: "chaos", question: "hostname.bind.", want: []string{host}},
		{name: "the host by its newer name", corefile: "chaos", question: "id.server.", want: []string{host}},
		{name: "another name", corefile: "chaos", question: "version.example.org."},
		{name: "below a name", corefile: "chaos", question: "a.version.bind."},
		{name: "another type", corefile: "chaos", question: "version.bind.", qtype: dns.TypeA},
		{name: "class IN", corefile: "chaos", question: "version.bind.", class: dns.ClassINET},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			env := block.NewEnv(io.Discard)
			h, err := Spec().Build(env, block.Lines(t, ". {\n "+test.corefile+"\n}", "chaos"))
			if err != nil {
				t.Fatal(err)
			}
			if !env.Listen.AnyClass {
				t.Error("queries of class CH do not get here")
			}
			m := new(dns.Msg).SetQuestion(test.question, dns.TypeTXT)
			m.Question[0].Qclass = dns.ClassCHAOS
			if test.qtype != 0 {
				m.Question[0].Qtype = test.qtype
			}
			if test.class != 0 {
				m.Question[0].Qclass = test.class
			}
			x := block.FromMsg(t, m)
			if err := block.Serve(x, h, block.Reply(dns.RcodeRefused)); err != nil {
				t.Fatal(err)
			}
			reply := block.Answer(t, x)
			if handedOn := reply.Rcode == dns.RcodeRefused; handedOn != (test.want == nil) {
				t.Fatalf("handed on: %v", handedOn)
			}
			var got []string
			for _, rr := range reply.Answer {
				if h := rr.Header(); h.Class != dns.ClassCHAOS || h.Ttl != 0 || h.Name != test.question {
					t.Errorf("record %v", rr)
				}
				got = append(got, rr.(*dns.TXT).Txt...)
			}
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("texts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHandedOnQueriesAllocateNothing(t *testing.T) {
	x := block.NewExchange(t, "example.org.", dns.TypeTXT)
	chain := []plugin.Handler{&Handler{}, block.HandlerFunc(func(context.Context, *plugin.Exchange) error { return nil })}
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
		{name: "options", corefile: ". {\n chaos v {\n }\n}", want: "Corefile:2: chaos: takes no options in { }"},
		{name: "twice", corefile: ". {\n chaos a\n chaos b\n}", want: "Corefile:3: chaos: given twice in a server block; the first one is at Corefile:2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, test.corefile, "chaos"))
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
