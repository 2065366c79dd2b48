package cache

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

// TestExtendedErrors: a client with EDNS is told what the reply's age means (RFC 8914); a fresh reply says nothing.
func TestExtendedErrors(t *testing.T) {
	t.Parallel()
	const denial = "NXDOMAIN: ns:example.org. 100 SOA ns. host. 1 2 3 4 300"
	for _, test := range []struct {
		name, question, reply string
		after                 time.Duration
		want                  []uint16
	}{
		{name: "fresh", question: www + " do", reply: first},
		{name: "stale", question: www + " do", reply: first, after: 200 * time.Second, want: []uint16{dns.ExtendedErrorCodeStaleAnswer}},
		{name: "stale, no EDNS", question: www, reply: first, after: 200 * time.Second},
		{name: "fresh denial", question: www + " do", reply: denial},
		{name: "stale denial", question: www + " do", reply: denial, after: 200 * time.Second, want: []uint16{dns.ExtendedErrorCodeStaleNXDOMAINAnswer}},
		{name: "failure", question: www + " do", reply: "SERVFAIL:", want: []uint16{dns.ExtendedErrorCodeCachedError}},
		{name: "no reply", question: www + " do", reply: "error timeout", want: []uint16{dns.ExtendedErrorCodeCachedError}},
		{name: "failure, no EDNS", question: www, reply: "SERVFAIL:"},
		{name: "another failure", question: www + " do", reply: "NOTIMP:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, "cache {\nserve_stale\n}")
			b.upstream.set(www, test.reply)
			b.ask(t, test.question)
			b.pass(test.after)
			x := b.exchange(t, test.question)
			if err := block.Serve(x, b, b.upstream); err != nil {
				t.Fatal(err)
			}
			if n := b.upstream.count(); n != 1 {
				t.Errorf("%d questions upstream: the second reply is not from the store", n)
			}
			var got []uint16
			if opt := block.Answer(t, x).IsEdns0(); opt != nil {
				for _, o := range opt.Option {
					got = append(got, o.(*dns.EDNS0_EDE).InfoCode)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("extended errors -want +got\n%s", diff)
			}
		})
	}
}

// TestMetadata: what file says of an answer that a wildcard made is said of it again when it comes from the store, be it
// refreshed in between.
func TestMetadata(t *testing.T) {
	t.Parallel()
	b := newBed(t, "cache {\nprefetch 1 1m 90%\n}").run(t)
	b.upstream.set(www, first)
	asked := 0
	end := block.HandlerFunc(func(ctx context.Context, x *plugin.Exchange) error {
		asked++
		x.Metadata.Set(wildcardLabel, "*.example.org.")
		return b.upstream.Serve(ctx, x)
	})
	for turn, after := range []time.Duration{0, 20 * time.Second, 5 * time.Second} {
		b.pass(after)
		x := b.exchange(t, www)
		x.Begin(nil, []plugin.Handler{b, end})
		x.Metadata = new(plugin.Metadata)
		x.Metadata.Begin(x, nil)
		if err := x.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, ok := x.Metadata.Value(wildcardLabel); got != "*.example.org." || !ok {
			t.Errorf("turn %d: %q", turn, got)
		}
		b.idle(t)
	}
	if asked != 2 {
		t.Errorf("%d questions upstream, want one and a refresh", asked)
	}
}
