package rewrite

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

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
	m.Answer = []dns.RR{record("@ 100 IN A 198.51.100.1", name.String())}
	return m, nil
}

func TestCNAME(t *testing.T) {
	t.Parallel()
	answer := []string{"@ 200 IN CNAME my-app.example.", "my-app.example. 200 IN CNAME My-app.cdn.test.", "My-app.cdn.test. 300 IN A 20.2.0.1", "My-app.cdn.test. 300 IN A 20.2.0.2"}
	const plain = "NOERROR www.example.org. IN A\nwww.example.org. 200 IN CNAME my-app.example.\nmy-app.example. 200 IN CNAME My-app.cdn.test.\nMy-app.cdn.test. 300 IN A 20.2.0.1\nMy-app.cdn.test. 300 IN A 20.2.0.2"
	second := func(target string) string {
		return "NOERROR www.example.org. IN A\nwww.example.org. 200 IN CNAME my-app.example.\nmy-app.example. 200 IN CNAME " + target + "\n" + strings.ToLower(target) + " 100 IN A 198.51.100.1"
	}
	for _, tc := range []struct {
		name, lines string
		server      resolver
		depth       int
		asked       []string
		replied     string
		log         string
	}{
		{name: "exact", lines: "rewrite cname my-app.example other.test", asked: []string{"other.test. A"},
			replied: "NOERROR www.example.org. IN A\nwww.example.org. 200 IN CNAME other.test.\nother.test. 100 IN A 198.51.100.1"},
		{name: "exact, the spelling counts", lines: "rewrite cname exact my-app.cdn.test other.test", replied: plain},
		{name: "suffix", lines: "rewrite cname suffix cdn.test. other.test.", asked: []string{"my-app.other.test. A"}, replied: second("My-app.other.test.")},
		{name: "prefix", lines: "rewrite cname prefix my-app.ex your-app.ex", asked: []string{"your-app.example. A"},
			replied: "NOERROR www.example.org. IN A\nwww.example.org. 200 IN CNAME your-app.example.\nyour-app.example. 100 IN A 198.51.100.1"},
		{name: "substring", lines: "rewrite cname substring .cdn. .x.", asked: []string{"my-app.x.test. A"}, replied: second("My-app.x.test.")},
		{name: "regex", lines: `rewrite cname regex (.*)\.cdn\.test\. {1}.other.test.`, asked: []string{"my-app.other.test. A"}, replied: second("My-app.other.test.")},
		{name: "regex that does not match", lines: `rewrite cname regex (.*)\.cdn\.tset\. {1}.other.test.`, replied: plain},
		{name: "two targets", lines: `rewrite continue cname my-app.example first.test` + "\n" + `rewrite cname suffix cdn.test. other.test.`,
			asked: []string{"first.test. A", "my-app.other.test. A"},
			// The second CNAME is no part of the answer any more when its turn comes, but its new target's records are put behind all the same.
			replied: "NOERROR www.example.org. IN A\nwww.example.org. 200 IN CNAME first.test.\nmy-app.other.test. 100 IN A 198.51.100.1"},
		{name: "nothing is found out", lines: "rewrite cname my-app.example other.test", server: resolver{err: errors.New("trouble")}, asked: []string{"other.test. A"},
			replied: plain, log: "[ERROR] the target my-app.example. of www.example.org. stays as it is: trouble\n"},
		{name: "no reply", lines: "rewrite cname my-app.example other.test", server: resolver{none: true}, asked: []string{"other.test. A"},
			replied: plain, log: "[ERROR] the target my-app.example. of www.example.org. stays as it is: there is no reply for other.test.\n"},
		{name: "a target that is no name", lines: "rewrite cname my-app.example a..b", replied: plain,
			log: "[ERROR] the target my-app.example. of www.example.org. stays as it is: \"a..b.\" is not a domain name"},
		{name: "too deep", lines: "rewrite cname my-app.example other.test", depth: deepest + 1, replied: plain},
		{name: "of the type that is asked for instead", lines: "rewrite continue type A AAAA\nrewrite cname my-app.example other.test", asked: []string{"other.test. AAAA"},
			replied: "NOERROR www.example.org. IN A\nwww.example.org. 200 IN CNAME other.test.\nother.test. 100 IN A 198.51.100.1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			log := new(block.Buffer)
			x := block.NewExchange(t, "www.example.org.", dns.TypeA)
			x.Depth = tc.depth
			x.Begin(&tc.server, []plugin.Handler{built(t, log, tc.lines), &upstream{answer: answer}})
			if err := x.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			m := block.Answer(t, x)
			if diff := cmp.Diff(tc.replied, shown(m)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.asked, tc.server.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			if !strings.HasPrefix(log.String(), tc.log) || tc.log == "" && log.String() != "" {
				t.Errorf("log %q, want %q", log, tc.log)
			}
			if m.Truncated != (len(tc.asked) > 0 && tc.log == "") {
				t.Errorf("TC is %v", m.Truncated)
			}
		})
	}
}

func TestCNAMEWithoutOne(t *testing.T) {
	t.Parallel()
	x := block.NewExchange(t, "www.example.org.", dns.TypeA)
	if err := block.Serve(x, built(t, io.Discard, "rewrite cname a.test b.test"), &upstream{rcode: dns.RcodeNameError}); err != nil {
		t.Fatal(err)
	}
	if got := shown(block.Answer(t, x)); got != "NXDOMAIN www.example.org. IN A" {
		t.Error(got)
	}
}
