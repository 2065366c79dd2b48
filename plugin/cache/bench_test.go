package cache

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

// service is an end of the chain that costs what a reply of the size costs, and nothing more.
func service(isLive bool) block.HandlerFunc {
	return func(_ context.Context, x *plugin.Exchange) error {
		x.Live = isLive
		x.Reply.Start(&x.Query, dns.RcodeSuccess)
		x.Reply.Address(wire.QuestionName, []byte{10, 96, 0, 1}, 30)
		return nil
	}
}

type bench struct {
	name  string
	text  string
	setup func(b *bed)
	end   plugin.Handler
}

func benches() []bench {
	addresses := "NOERROR ra:"
	for i := range 80 {
		addresses += fmt.Sprintf(" www.example.org. 300 A 192.0.2.%d;", i)
	}
	reply := func(text string) func(b *bed) {
		return func(b *bed) { b.upstream.set("www.example.org. A", text) }
	}
	const zone = "cache 300"
	return []bench{
		{name: "hit", text: zone, setup: reply("NOERROR ra: www.example.org. 300 A 192.0.2.1")},
		{name: "hit of NXDOMAIN", text: zone, setup: reply("NXDOMAIN ra: ns:example.org. 300 SOA ns.example.org. h.example.org. 1 2 3 4 5")},
		{name: "hit of CNAME chain", text: zone, setup: reply("NOERROR ra: www.example.org. 300 CNAME a.example.net.; a.example.net. 300 CNAME b.example.net.; b.example.net. 300 A 192.0.2.1")},
		{name: "hit of 80 addresses", text: zone, setup: reply(addresses)},
		{name: "hit with prefetch", text: "cache 300 {\nprefetch 5\n}", setup: reply("NOERROR ra: www.example.org. 300 A 192.0.2.1")},
		{name: "live", text: zone, end: service(true)},
		{name: "no cache", text: zone + " elsewhere", end: service(true)},
	}
}

// prepare is the function that sends one query, with the store filled.
func (n *bench) prepare(t testing.TB) func() {
	b := newBed(t, n.text)
	end := n.end
	if end == nil {
		end = b.upstream
	}
	if n.setup != nil {
		n.setup(b)
	}
	x := b.exchange(t, "www.example.org. A do")
	chain := []plugin.Handler{b, end}
	ctx := context.Background()
	return func() {
		x.Begin(nil, chain)
		if err := x.Next(ctx); err != nil {
			t.Fatal(err)
		}
		if len(x.Reply.Finish(&x.Query, 1232)) < 50 {
			t.Fatal("no reply")
		}
	}
}

// TestHitsDoNotAllocate is the gate on what a query costs in memory: nothing.
func TestHitsDoNotAllocate(t *testing.T) {
	for _, n := range benches() {
		t.Run(n.name, func(t *testing.T) {
			query := n.prepare(t)
			query()
			if got := testing.AllocsPerRun(200, query); got != 0 {
				t.Errorf("%v allocations a query, want none", got)
			}
		})
	}
}

func BenchmarkCache(b *testing.B) {
	for _, n := range benches() {
		b.Run(n.name, func(b *testing.B) {
			query := n.prepare(b)
			query()
			b.ReportAllocs()
			for b.Loop() {
				query()
			}
		})
	}
	b.Run("miss and store", func(b *testing.B) {
		bed := newBed(b, "cache 300")
		bed.env.Now = time.Now
		x := bed.exchange(b, "www.example.org. A")
		chain := []plugin.Handler{bed, service(false)}
		packet := x.Query.Packet()
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			packet[13], packet[14], packet[15] = 'a'+byte(n%26), 'a'+byte(n/26%26), 'a'+byte(n/676%26)
			if err := x.Query.Parse(packet); err != nil {
				b.Fatal(err)
			}
			x.Begin(nil, chain)
			if err := x.Next(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
