package exam

import (
	"net"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"

	"github.com/nameplane/nameplane/test/world"
)

// The exam is worth what its comparison sees: every part of a message, one at a time.
func TestCompareSeesEveryPart(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(m *dns.Msg)
		want   []string
	}{
		{name: "nothing", change: func(*dns.Msg) {}},
		{name: "order of records", change: func(m *dns.Msg) { slices.Reverse(m.Answer) }},
		{name: "serial", change: func(m *dns.Msg) { m.Ns[0].(*dns.SOA).Serial++ }},
		{name: "ID", change: func(m *dns.Msg) { m.Id++ }, want: []string{"id"}},
		{name: "opcode", change: func(m *dns.Msg) { m.Opcode++ }, want: []string{"opcode"}},
		{name: "AA", change: func(m *dns.Msg) { m.Authoritative = true }, want: []string{"aa"}},
		{name: "TC", change: func(m *dns.Msg) { m.Truncated = true }, want: []string{"tc"}},
		{name: "RA and AD", change: func(m *dns.Msg) { m.RecursionAvailable, m.AuthenticatedData = true, true }, want: []string{"ra", "ad"}},
		{name: "CD and Z", change: func(m *dns.Msg) { m.CheckingDisabled, m.Zero = true, true }, want: []string{"z", "cd"}},
		{name: "rcode", change: func(m *dns.Msg) { m.Rcode = dns.RcodeNameError }, want: []string{"rcode"}},
		{name: "case of the question", change: func(m *dns.Msg) { m.Question[0].Name = "WWW.example.com." }, want: []string{"question"}},
		{name: "case of an owner", change: func(m *dns.Msg) { m.Answer[0].Header().Name = "WWW.example.com." }, want: []string{"answer"}},
		{name: "TTL", change: func(m *dns.Msg) { m.Answer[1].Header().Ttl++ }, want: []string{"answer"}},
		{name: "data", change: func(m *dns.Msg) { m.Answer[1].(*dns.A).A = net.IPv4(192, 0, 2, 9) }, want: []string{"answer"}},
		{name: "a record twice", change: func(m *dns.Msg) { m.Answer = append(m.Answer, m.Answer[0]) }, want: []string{"answer"}},
		{name: "minimum of the SOA", change: func(m *dns.Msg) { m.Ns[0].(*dns.SOA).Minttl++ }, want: []string{"authority"}},
		{name: "no OPT", change: func(m *dns.Msg) { m.Extra = nil }, want: []string{"edns"}},
		{name: "DO", change: func(m *dns.Msg) { m.IsEdns0().SetDo() }, want: []string{"edns"}},
		{name: "size", change: func(m *dns.Msg) { m.IsEdns0().SetUDPSize(4096) }, want: []string{"edns"}},
		{name: "option", change: func(m *dns.Msg) {
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_NSID{Code: dns.EDNS0NSID}}
		}, want: []string{"edns"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			changed := reply()
			tc.change(changed)
			if diff := cmp.Diff(tc.want, view{}.compare(reply(), changed)); diff != "" {
				t.Errorf("parts that differ (-want +got):\n%s", diff)
			}
		})
	}
}

func reply() *dns.Msg {
	m := new(dns.Msg).SetQuestion("www.example.com.", dns.TypeA)
	m.Id, m.Response = 1, true
	header := func(rrtype uint16) dns.RR_Header {
		return dns.RR_Header{Name: "www.example.com.", Rrtype: rrtype, Class: dns.ClassINET, Ttl: 5}
	}
	m.Answer = []dns.RR{&dns.A{Hdr: header(dns.TypeA), A: net.IPv4(192, 0, 2, 1)}, &dns.A{Hdr: header(dns.TypeA), A: net.IPv4(192, 0, 2, 2)}}
	m.Ns = []dns.RR{&dns.SOA{Hdr: header(dns.TypeSOA), Ns: "ns.example.", Mbox: "hostmaster.example.", Serial: 1}}
	return m.SetEdns0(1232, false)
}

// A declared difference must not excuse a neighbour of the case that it is for.
func TestDeclaredIsTight(t *testing.T) {
	t.Parallel()
	f := &facts{namespaces: map[string]*corev1.Namespace{"default": {}}}
	c := corefile{zone: world.Zone, reverse: []string{"in-addr.arpa."}, pods: "insecure"}
	for _, tc := range []struct {
		name, question string
		qtype          uint16
		theirs, ours   int // rcodes of negative replies
		witness        int // rcode of CoreDNS's reply to what it is asked in doubt
		loseSOA        bool
		want           string
	}{
		{name: "TXT of a namespace", question: "default.svc.cluster.local.", qtype: dns.TypeTXT, theirs: dns.RcodeNameError, want: "D1"},
		{name: "TXT of no namespace", question: "nope.svc.cluster.local.", qtype: dns.TypeTXT, theirs: dns.RcodeNameError},
		{name: "A of a namespace", question: "default.svc.cluster.local.", qtype: dns.TypeA, theirs: dns.RcodeNameError},
		{name: "TXT of a service", question: "a.default.svc.cluster.local.", qtype: dns.TypeTXT, theirs: dns.RcodeNameError},
		{name: "the wrong way round", question: "default.svc.cluster.local.", qtype: dns.TypeTXT, ours: dns.RcodeNameError},
		{name: "without SOA", question: "default.svc.cluster.local.", qtype: dns.TypeTXT, theirs: dns.RcodeNameError, loseSOA: true},
		{name: "TXT of a reverse apex", question: "in-addr.arpa.", qtype: dns.TypeTXT, theirs: dns.RcodeNameError, want: "D1"},
		{name: "SOA of nothing", question: "x.cluster.local.", qtype: dns.TypeSOA, ours: dns.RcodeNameError, witness: dns.RcodeNameError, want: "D2"},
		{name: "SOA of something", question: "a.default.svc.cluster.local.", qtype: dns.TypeSOA, ours: dns.RcodeNameError},
		{name: "A of nothing", question: "x.cluster.local.", qtype: dns.TypeA, ours: dns.RcodeNameError, witness: dns.RcodeNameError},
		{name: "reverse name without PTR", question: "1.0.0.10.in-addr.arpa.", qtype: dns.TypeA, theirs: dns.RcodeNameError, witness: dns.RcodeNameError},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			question := new(dns.Msg).SetQuestion(tc.question, tc.qtype)
			d := &difference{
				corefile: &c, facts: f, question: question, theirs: negativeReply(question, tc.theirs), ours: negativeReply(question, tc.ours),
				ask: func(string, uint16) *dns.Msg { return negativeReply(question, tc.witness) },
			}
			if tc.loseSOA {
				d.ours.Ns = nil
			}
			if got := declared(d); got != tc.want {
				t.Errorf("declared as %q, want %q", got, tc.want)
			}
		})
	}
}

func negativeReply(question *dns.Msg, rcode int) *dns.Msg {
	m := new(dns.Msg).SetRcode(question, rcode)
	m.Authoritative = true
	m.Ns = []dns.RR{&dns.SOA{Hdr: dns.RR_Header{Name: world.Zone, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 5}, Ns: "ns.dns." + world.Zone, Mbox: "hostmaster." + world.Zone}}
	return m
}

func TestSameSeedSamePackets(t *testing.T) {
	t.Parallel()
	one, err := malform(3, world.New(3).Questions(20))
	if err != nil {
		t.Fatal(err)
	}
	two, err := malform(3, world.New(3).Questions(20))
	if err != nil {
		t.Fatal(err)
	}
	if len(one) != 20*len(damages) || !slices.EqualFunc(one, two, func(a, b packet) bool { return string(a.bytes) == string(b.bytes) }) {
		t.Errorf("%d and %d packets, not the same ones for the same seed", len(one), len(two))
	}
}
