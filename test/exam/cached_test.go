package exam

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/test/world"
)

// What a cache explains must not excuse a TTL that is wrong: TTLs of what an upstream said are right to the second.
func TestCachedIsTight(t *testing.T) {
	t.Parallel()
	stock := corefile{zone: world.Zone, cached: true, live: []string{"apps.example."}}
	relayed, without := stock, stock
	relayed.relayed, without.cached = true, false
	const cluster, outside = "a.default.svc.cluster.local.", "www.example.com."
	for _, tc := range []struct {
		name         string
		corefile     corefile
		question     string
		theirs, ours []string // records of the answer
		relayedReply bool     // AA is not set
		want         string
	}{
		{name: "an older answer", corefile: stock, question: cluster, theirs: []string{"27 A 10.0.0.1"}, ours: []string{"30 A 10.0.0.1"}, want: "D13"},
		{name: "a younger answer", corefile: stock, question: cluster, theirs: []string{"30 A 10.0.0.1"}, ours: []string{"27 A 10.0.0.1"}},
		{name: "another address", corefile: stock, question: cluster, theirs: []string{"27 A 10.0.0.1"}, ours: []string{"30 A 10.0.0.2"}},
		{name: "TTLs apart", corefile: stock, question: cluster, theirs: []string{"27 A 10.0.0.1", "27 A 10.0.0.2"}, ours: []string{"30 A 10.0.0.1", "29 A 10.0.0.2"}},
		{name: "without a cache", corefile: without, question: cluster, theirs: []string{"27 A 10.0.0.1"}, ours: []string{"30 A 10.0.0.1"}},
		{name: "from a cluster's server", corefile: relayed, question: cluster, theirs: []string{"27 A 10.0.0.1"}, ours: []string{"30 A 10.0.0.1"}},
		{name: "of an upstream", corefile: stock, question: outside, theirs: []string{"27 A 10.0.0.1"}, ours: []string{"30 A 10.0.0.1"}},
		{name: "authoritative and of an upstream", corefile: stock, question: outside, theirs: []string{"29 A 10.0.0.1"}, ours: []string{"30 A 10.0.0.1"}},
		{name: "fallen through", corefile: stock, question: "1.0.0.10.in-addr.arpa.", theirs: []string{"27 PTR a."}, ours: []string{"30 PTR a."}, relayedReply: true},
		{name: "reverse name", corefile: stock, question: "1.0.0.10.in-addr.arpa.", theirs: []string{"27 PTR a."}, ours: []string{"30 PTR a."}, want: "D13"},
		{name: "rewritten", corefile: stock, question: "a.apps.example.", theirs: []string{"27 A 10.0.0.1"}, ours: []string{"30 A 10.0.0.1"}, want: "D13"},
		{name: "an alias rounded twice", corefile: stock, question: cluster, theirs: []string{"30 CNAME b."}, ours: []string{"29 CNAME b."}, want: "D13"},
		{name: "an alias off by two", corefile: stock, question: cluster, theirs: []string{"30 CNAME b."}, ours: []string{"28 CNAME b."}},
		{name: "ttl 0", corefile: stock, question: cluster, theirs: []string{"4 A 10.0.0.1"}, ours: []string{"0 A 10.0.0.1"}, want: "D6"},
		{name: "ttl 0 and more than 5", corefile: stock, question: cluster, theirs: []string{"6 A 10.0.0.1"}, ours: []string{"0 A 10.0.0.1"}},
		{name: "ttl 0 of an upstream", corefile: stock, question: outside, theirs: []string{"4 A 10.0.0.1"}, ours: []string{"0 A 10.0.0.1"}},
		{name: "spelling", corefile: relayed, question: outside, theirs: []string{"30 A 10.0.0.1", "WWW 30 A 10.0.0.2"}, ours: []string{"30 A 10.0.0.1", "30 A 10.0.0.2"}, want: "D17"},
		{name: "spelling without a cache", corefile: without, question: outside, theirs: []string{"WWW 30 A 10.0.0.1"}, ours: []string{"30 A 10.0.0.1"}},
		{name: "spelling and a TTL", corefile: relayed, question: outside, theirs: []string{"WWW 30 A 10.0.0.1"}, ours: []string{"29 A 10.0.0.1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			question := new(dns.Msg).SetQuestion(tc.question, dns.TypeA)
			d := &difference{
				corefile: &tc.corefile, facts: &facts{}, question: question,
				theirs: positiveReply(t, question, tc.theirs, !tc.relayedReply), ours: positiveReply(t, question, tc.ours, !tc.relayedReply),
				ask: func(string, uint16) *dns.Msg { return nil }, whole: func() *dns.Msg { return nil },
			}
			if got := declared(d); got != tc.want {
				t.Errorf("declared as %q, want %q", got, tc.want)
			}
		})
	}
}

// positiveReply has records as "TTL TYPE DATA"; "WWW" before one spells its owner in capitals.
func positiveReply(t *testing.T, question *dns.Msg, records []string, authoritative bool) *dns.Msg {
	t.Helper()
	m := new(dns.Msg).SetReply(question)
	m.Authoritative = authoritative
	for _, text := range records {
		owner := question.Question[0].Name
		if rest, loud := strings.CutPrefix(text, "WWW "); loud {
			owner, text = strings.ToUpper(owner), rest
		}
		rr, err := dns.NewRR(fmt.Sprintf("%s %s", owner, text))
		if err != nil {
			t.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	return m
}
