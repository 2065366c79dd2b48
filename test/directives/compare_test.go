package directives

import (
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// The comparison is worth what it sees: every part of a message, one at a time.
func TestDifferences(t *testing.T) {
	t.Parallel()
	reply := func() *dns.Msg {
		q := new(dns.Msg).SetQuestion("a.test.", dns.TypeA)
		m := new(dns.Msg).SetReply(q.SetEdns0(1232, false))
		for _, text := range []string{"a.test. 5 IN A 192.0.2.1", "a.test. 5 IN A 192.0.2.2"} {
			rr, err := dns.NewRR(text)
			if err != nil {
				t.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		m.Ns, m.Extra = []dns.RR{dns.Copy(m.Answer[0])}, []dns.RR{dns.Copy(m.Answer[0])}
		return m.SetEdns0(1232, false)
	}
	for _, tc := range []struct {
		name   string
		change func(m *dns.Msg)
		want   []string
	}{
		{name: "nothing", change: func(*dns.Msg) {}},
		{name: "the ID", change: func(m *dns.Msg) { m.Id++ }},
		{name: "the order", change: func(m *dns.Msg) { slices.Reverse(m.Answer) }},
		{name: "rcode", change: func(m *dns.Msg) { m.Rcode = 3 }, want: []string{"rcode"}},
		{name: "aa", change: func(m *dns.Msg) { m.Authoritative = true }, want: []string{"flags"}},
		{name: "tc", change: func(m *dns.Msg) { m.Truncated = true }, want: []string{"flags"}},
		{name: "ra", change: func(m *dns.Msg) { m.RecursionAvailable = true }, want: []string{"flags"}},
		{name: "ad", change: func(m *dns.Msg) { m.AuthenticatedData = true }, want: []string{"flags"}},
		{name: "question", change: func(m *dns.Msg) { m.Question[0].Name = "A.test." }, want: []string{"question"}},
		{name: "TTL", change: func(m *dns.Msg) { m.Answer[0].Header().Ttl = 6 }, want: []string{"answer"}},
		{name: "a record less", change: func(m *dns.Msg) { m.Answer = m.Answer[1:] }, want: []string{"answer"}},
		{name: "authority", change: func(m *dns.Msg) { m.Ns = nil }, want: []string{"authority"}},
		{name: "additional", change: func(m *dns.Msg) { m.Extra = m.Extra[1:] }, want: []string{"additional"}},
		{name: "no OPT", change: func(m *dns.Msg) { m.Extra = m.Extra[:1] }, want: []string{"edns"}},
		{name: "size", change: func(m *dns.Msg) { m.IsEdns0().SetUDPSize(512) }, want: []string{"edns"}},
		{name: "an option", change: func(m *dns.Msg) { m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: 1}} }, want: []string{"edns"}},
	} {
		changed := reply()
		tc.change(changed)
		var got []string
		for _, part := range Differences(reply(), changed) {
			name, _, _ := strings.Cut(part, ":")
			got = append(got, name)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
	if len(Differences(reply(), nil)) == 0 {
		t.Error("a reply that did not come is not missed")
	}
}
