package exam

import (
	"testing"

	"github.com/miekg/dns"
)

// D18 excuses one extended error that fits, and nothing beside it.
func TestToldIsTight(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		rcode     int
		said      []uint16
		authority bool // ours has AA, theirs has not
		without   bool // EDNS
		want      string
	}{
		{name: "a kept failure", rcode: dns.RcodeServerFailure, said: []uint16{dns.ExtendedErrorCodeCachedError}, want: "D18"},
		{name: "nobody answered", rcode: dns.RcodeServerFailure, said: []uint16{dns.ExtendedErrorCodeNoReachableAuthority}, want: "D18"},
		{name: "a stale answer", said: []uint16{dns.ExtendedErrorCodeStaleAnswer}, want: "D18"},
		{name: "a stale denial", rcode: dns.RcodeNameError, said: []uint16{dns.ExtendedErrorCodeStaleNXDOMAINAnswer}, want: "D18"},
		{name: "an answer from nobody", said: []uint16{dns.ExtendedErrorCodeNoReachableAuthority}},
		{name: "another error", rcode: dns.RcodeServerFailure, said: []uint16{dns.ExtendedErrorCodeBlocked}},
		{name: "said twice", rcode: dns.RcodeServerFailure, said: []uint16{dns.ExtendedErrorCodeCachedError, dns.ExtendedErrorCodeCachedError}},
		{name: "and a flag", rcode: dns.RcodeServerFailure, said: []uint16{dns.ExtendedErrorCodeCachedError}, authority: true},
		{name: "nothing said", rcode: dns.RcodeServerFailure, without: true, authority: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			question := new(dns.Msg).SetQuestion("www.example.com.", dns.TypeA)
			theirs, ours := new(dns.Msg).SetRcode(question, tc.rcode), new(dns.Msg).SetRcode(question, tc.rcode)
			ours.Authoritative = tc.authority
			if !tc.without {
				theirs.SetEdns0(1232, false)
				ours.SetEdns0(1232, false)
				for _, code := range tc.said {
					ours.IsEdns0().Option = append(ours.IsEdns0().Option, &dns.EDNS0_EDE{InfoCode: code})
				}
			}
			d := &difference{
				corefile: &corefile{cached: true, relayed: true}, facts: &facts{}, question: question, theirs: theirs, ours: ours,
				ask: func(string, uint16) *dns.Msg { return nil }, whole: func() *dns.Msg { return nil },
			}
			if got := declared(d); got != tc.want {
				t.Errorf("declared as %q, want %q", got, tc.want)
			}
		})
	}
}
