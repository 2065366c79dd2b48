package wire

import (
	"fmt"
	"testing"

	"github.com/miekg/dns"
)

// TestLoosePacket: a reply that came by TCP without compression is packed tightly before it is cut for a client by UDP,
// so that this one gets as much of it as there is room for.
func TestLoosePacket(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		records int
		edns    bool
		whole   bool
	}{
		{name: "it fits with compression", records: 25, whole: true},
		{name: "it does not", records: 40},
		{name: "small", records: 2, whole: true},
		{name: "room enough", records: 40, edns: true, whole: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			query := new(dns.Msg).SetQuestion("name.default.svc.cluster.local.", dns.TypeA)
			if tc.edns {
				query.SetEdns0(4096, false)
			}
			reply := new(dns.Msg).SetReply(query)
			for i := range tc.records {
				reply.Answer = append(reply.Answer, mustRR(t, fmt.Sprintf("name.default.svc.cluster.local. 30 IN A 10.0.0.%d", i)))
			}
			packet, err := reply.Pack()
			if err != nil {
				t.Fatal(err)
			}
			q := ask(t, query)
			limit := dns.MinMsgSize
			if tc.edns {
				limit = 4096
			}
			for how, make := range map[string]func(r *Reply) error{
				"relayed": func(r *Reply) error { return r.SetPacket(q, packet) },
				"kept": func(r *Reply) error {
					var first Reply
					if err := first.SetPacket(q, packet); err != nil {
						return err
					}
					r.SetImage(q, first.Image(q), 30)
					return nil
				},
			} {
				var r Reply
				if err := make(&r); err != nil {
					t.Fatal(err)
				}
				got := new(dns.Msg)
				if err := got.Unpack(r.Finish(q, limit)); err != nil {
					t.Fatal(err)
				}
				const header, record = 12 + 32 + 4, 16
				want := min(tc.records, (limit-header)/record)
				if len(got.Answer) != want || got.Truncated == tc.whole {
					t.Errorf("%s: %d records, TC %v; want %d of %d", how, len(got.Answer), got.Truncated, want, tc.records)
				}
			}
		})
	}
}
