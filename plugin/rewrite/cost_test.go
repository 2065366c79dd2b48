//go:build !race

package rewrite

// Under the race detector a sync.Pool forgets at random, so that nothing can be said of allocations.

import (
	"context"
	"io"
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

// TestCost: what does not match costs no allocation, nor does a TTL or a response code.
func TestCost(t *testing.T) {
	answer := block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error {
		x.Reply.Start(&x.Query, dns.RcodeSuccess)
		x.Reply.Address(wire.QuestionName, []byte{192, 0, 2, 1}, 60)
		return nil
	})
	for _, tc := range []struct{ name, lines string }{
		{name: "rules that do not match", lines: "rewrite name a.test b.test\nrewrite name suffix .test .test2 answer auto\nrewrite name prefix web www\n" +
			"rewrite name substring .test. .x.\nrewrite name regex ^(a+)\\.test\\.$ {1}.b\nrewrite type MX A\nrewrite class CH IN\nrewrite ttl a.test 5\nrewrite edns0 local unset 0xffee"},
		{name: "ttl and rcode", lines: "rewrite continue ttl regex (.*) 30\nrewrite rcode suffix example.org SERVFAIL NOERROR"},
	} {
		chain := []plugin.Handler{built(t, io.Discard, tc.lines), answer}
		x := block.NewExchange(t, "www.example.org.", dns.TypeA)
		if n := testing.AllocsPerRun(200, func() {
			x.Begin(nil, chain)
			if err := x.Next(context.Background()); err != nil {
				t.Fatal(err)
			}
		}); n >= 1 { // the pool may be emptied now and then
			t.Errorf("%s: %v allocations", tc.name, n)
		}
	}
}
