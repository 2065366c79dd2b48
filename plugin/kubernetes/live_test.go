package kubernetes

import (
	"context"
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

// TestLive: answers from the store are not to be kept by anyone (D13), whatever they say; what is handed on is another
// handler's affair.
func TestLive(t *testing.T) {
	b := newBed(t, "kubernetes cluster.local in-addr.arpa {\nfallthrough in-addr.arpa\n}", fillShop)
	end := block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error {
		x.Reply.Start(&x.Query, dns.RcodeSuccess)
		return nil
	})
	for _, test := range []struct {
		why, name string
		qtype     uint16
		live      bool
	}{
		{why: "an answer", name: "web.shop.svc.cluster.local.", qtype: dns.TypeA, live: true},
		{why: "NODATA", name: "web.shop.svc.cluster.local.", qtype: dns.TypeTXT, live: true},
		{why: "NXDOMAIN", name: "nobody.shop.svc.cluster.local.", qtype: dns.TypeA, live: true},
		{why: "a transfer refused", name: "cluster.local.", qtype: dns.TypeAXFR, live: true},
		{why: "a reverse name", name: "1.0.96.10.in-addr.arpa.", qtype: dns.TypePTR, live: true},
		{why: "a reverse name that falls through", name: "1.2.9.10.in-addr.arpa.", qtype: dns.TypePTR},
		{why: "another zone", name: "example.org.", qtype: dns.TypeA},
	} {
		x := block.NewExchange(t, test.name, test.qtype)
		if err := block.Serve(x, b, end); err != nil {
			t.Fatal(err)
		}
		if x.Live != test.live {
			t.Errorf("%s: live %v, want %v", test.why, x.Live, test.live)
		}
	}
}
