package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"github.com/miekg/dns"
)

// ask is a parsed query.
func ask(t testing.TB, m *dns.Msg) *Query {
	t.Helper()
	q := new(Query)
	if err := q.Parse(mustPack(t, m)); err != nil {
		t.Fatal(err)
	}
	return q
}

func askFor(t testing.TB, name string, qtype uint16) *Query {
	t.Helper()
	return ask(t, new(dns.Msg).SetQuestion(name, qtype))
}

func mustName(t testing.TB, s string) Name {
	t.Helper()
	n, err := ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// finished is the reply as the client reads it.
func finished(t testing.TB, r *Reply, q *Query, limit int) *dns.Msg {
	t.Helper()
	packet := r.Finish(q, limit)
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		t.Fatalf("%x: %v", packet, err)
	}
	return m
}

func texts(records []dns.RR) []string {
	var all []string
	for _, rr := range records {
		all = append(all, rr.String())
	}
	return all
}

func TestReplyWritesWhatMiekgWrites(t *testing.T) {
	t.Parallel()
	const zone = "cluster.local."
	cases := []struct {
		name    string
		qname   string
		qtype   uint16
		build   func(r *Reply, q *Query)
		answer  []string
		ns      []string
		extra   []string
		section string
	}{
		{
			name: "A", qname: "svc.ns.svc." + zone, qtype: dns.TypeA,
			build: func(r *Reply, q *Query) {
				r.Address(QuestionName, []byte{10, 0, 0, 1}, 30)
				r.Address(QuestionName, []byte{10, 0, 0, 2}, 30)
			},
			answer: []string{"svc.ns.svc.cluster.local. 30 IN A 10.0.0.1", "svc.ns.svc.cluster.local. 30 IN A 10.0.0.2"},
		},
		{
			name: "AAAA in the client's spelling", qname: "sVc.ns.svc." + zone, qtype: dns.TypeAAAA,
			build:  func(r *Reply, q *Query) { r.Address(QuestionName, append(make([]byte, 15), 1), 30) },
			answer: []string{"sVc.ns.svc.cluster.local. 30 IN AAAA ::1"},
		},
		{
			name: "SRV with additionals", qname: "_http._tcp.svc.ns.svc." + zone, qtype: dns.TypeSRV,
			build: func(r *Reply, q *Query) {
				var targets []Ref
				for i := range 4 {
					r.Open(QuestionName, dns.TypeSRV, 30)
					r.Uint16(0)
					r.Uint16(25)
					r.Uint16(80)
					targets = append(targets, r.Here())
					r.Text("\x05pod-" + string(rune('a'+i)))
					r.Bytes(q.Spelling(2)) // RFC 2782: the target is not compressed
					r.Close()
				}
				r.Section(Additional)
				for i, target := range targets {
					r.Address(target, []byte{10, 0, 0, byte(i)}, 30)
				}
			},
			answer: list(4, func(i int) string {
				return fmt.Sprintf("_http._tcp.svc.ns.svc.cluster.local. 30 IN SRV 0 25 80 pod-%c.svc.ns.svc.cluster.local.", 'a'+i)
			}),
			extra: list(4, func(i int) string {
				return fmt.Sprintf("pod-%c.svc.ns.svc.cluster.local. 30 IN A 10.0.0.%d", 'a'+i, i)
			}),
		},
		{
			name: "SOA of a negative reply", qname: "nothing.ns.svc." + zone, qtype: dns.TypeA,
			build: func(r *Reply, q *Query) {
				r.Section(Authority)
				r.SOA(q.ZoneRef(mustName(t, zone)), &SOA{MName: "\x02ns\x03dns", RName: "\x0ahostmaster", TTL: 5, Serial: 7, Refresh: 7200, Retry: 1800, Expire: 86400, Minimum: 5})
			},
			ns: []string{"cluster.local. 5 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 5"},
		},
		{
			name: "CNAME chain", qname: "ext.ns.svc." + zone, qtype: dns.TypeA,
			build: func(r *Reply, q *Query) {
				owner := QuestionName
				for _, target := range []string{"www.example.com.", "edge.example.com.", "edge.ns.svc." + zone} {
					r.Open(owner, dns.TypeCNAME, 30)
					owner = r.Name([]byte(mustName(t, target)))
					r.Close()
				}
				r.Address(owner, []byte{1, 2, 3, 4}, 30)
			},
			answer: []string{"ext.ns.svc.cluster.local. 30 IN CNAME www.example.com.", "www.example.com. 30 IN CNAME edge.example.com.",
				"edge.example.com. 30 IN CNAME edge.ns.svc.cluster.local.", "edge.ns.svc.cluster.local. 30 IN A 1.2.3.4"},
		},
		{
			name: "PTR list", qname: "1.0.0.10.in-addr.arpa.", qtype: dns.TypePTR,
			build: func(r *Reply, q *Query) {
				for i := range 6 {
					r.Open(QuestionName, dns.TypePTR, 30)
					r.Name([]byte(mustName(t, fmt.Sprintf("pod-%d.svc.ns.svc.%s", i, zone))))
					r.Close()
				}
			},
			answer: list(6, func(i int) string {
				return fmt.Sprintf("1.0.0.10.in-addr.arpa. 30 IN PTR pod-%d.svc.ns.svc.cluster.local.", i)
			}),
		},
		{
			name: "PTR to a name whose labels repeat", qname: "1.0.0.10.in-addr.arpa.", qtype: dns.TypePTR,
			build: func(r *Reply, q *Query) {
				r.Open(QuestionName, dns.TypePTR, 30)
				r.Name([]byte(mustName(t, "default.default.svc.svc."+zone)))
				r.Close()
			},
			answer: []string{"1.0.0.10.in-addr.arpa. 30 IN PTR default.default.svc.svc.cluster.local."},
		},
		{
			name: "MX and NS", qname: zone, qtype: dns.TypeANY,
			build: func(r *Reply, q *Query) {
				for i, name := range []string{"a.mail.example.", "b.mail.example.", "mail." + zone} {
					r.Open(QuestionName, dns.TypeMX, 30)
					r.Uint16(uint16(i))
					r.Name([]byte(mustName(t, name)))
					r.Close()
				}
				r.Section(Authority)
				r.Open(QuestionName, dns.TypeNS, 30)
				r.Name([]byte(Root))
				r.Close()
			},
			answer: []string{"cluster.local. 30 IN MX 0 a.mail.example.", "cluster.local. 30 IN MX 1 b.mail.example.", "cluster.local. 30 IN MX 2 mail.cluster.local."},
			ns:     []string{"cluster.local. 30 IN NS ."},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			q := askFor(t, c.qname, c.qtype)
			want := new(dns.Msg).SetReply(new(dns.Msg).SetQuestion(c.qname, c.qtype))
			want.Id, want.Compress, want.Authoritative = q.ID(), true, true
			for _, text := range c.answer {
				want.Answer = append(want.Answer, mustRR(t, text))
			}
			for _, text := range c.ns {
				want.Ns = append(want.Ns, mustRR(t, text))
			}
			for _, text := range c.extra {
				want.Extra = append(want.Extra, mustRR(t, text))
			}
			var r Reply
			r.Start(q, dns.RcodeSuccess)
			r.SetAuthoritative(true)
			c.build(&r, q)
			got := r.Finish(q, dns.MaxMsgSize)
			if theirs := mustPack(t, want); !bytes.Equal(got, theirs) {
				t.Errorf("reply\n%x (%d bytes), want\n%x (%d bytes)", got, len(got), theirs, len(theirs))
			}
			if len(got) != want.Len() {
				t.Errorf("%d bytes, Len() says %d", len(got), want.Len())
			}
		})
	}
}

func list(n int, one func(i int) string) []string {
	var all []string
	for i := range n {
		all = append(all, one(i))
	}
	return all
}

// RFC 1035, section 4.1.4: a pointer has 14 bits, so names that lie further back are written again.
func TestNamesBeyondPointers(t *testing.T) {
	t.Parallel()
	q := askFor(t, "a.example.org.", dns.TypePTR)
	var r Reply
	r.Start(q, dns.RcodeSuccess)
	const records = 1000
	for i := range records {
		r.Open(QuestionName, dns.TypePTR, 1)
		at := r.Name([]byte(mustName(t, fmt.Sprintf("host-%d.far.test.", i))))
		r.Close()
		r.Address(at, []byte{byte(i >> 8), byte(i), 0, 0}, 1)
	}
	if r.Len() < 1<<15 {
		t.Fatalf("%d bytes do not get beyond a pointer's reach", r.Len())
	}
	m := finished(t, &r, q, dns.MaxMsgSize)
	for i := range records {
		host := fmt.Sprintf("host-%d.far.test.", i)
		if ptr := m.Answer[2*i].(*dns.PTR); ptr.Ptr != host || ptr.Hdr.Name != "a.example.org." {
			t.Fatalf("record %d: %v", 2*i, ptr)
		}
		if a := m.Answer[2*i+1].(*dns.A); a.Hdr.Name != host || a.A.String() != fmt.Sprintf("%d.%d.0.0", i>>8, i&255) {
			t.Fatalf("record %d: %v", 2*i+1, a)
		}
	}
}

func TestNameInAnotherSpellingIsWrittenAnew(t *testing.T) {
	t.Parallel()
	q := askFor(t, "a.ExAmple.org.", dns.TypeCNAME)
	var r Reply
	r.Start(q, dns.RcodeSuccess)
	r.Open(QuestionName, dns.TypeCNAME, 1)
	r.Name([]byte(mustName(t, "b.example.org.")))
	r.Close()
	if got := finished(t, &r, q, 512).Answer[0].(*dns.CNAME); got.Target != "b.example.org." || got.Hdr.Name != "a.ExAmple.org." {
		t.Fatalf("%v", got)
	}
}

// RFC 6891, section 6.1.1: a reply has an OPT record exactly if the query has one.
func TestFinishEDNS(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name      string
		size      uint16
		flags     uint16
		rcode     int
		option    []byte // of code 15, the reply's own
		wantFlags uint16
	}{
		{name: "size as written", size: 1232},
		{name: "size 0", size: 0},
		{name: "size below the least", size: 100},
		{name: "DO", size: 4096, flags: 0x8000, wantFlags: 0x8000},
		{name: "reserved flags", size: 4096, flags: 0xffff, wantFlags: 0xff00},
		{name: "extended rcode", size: 4096, rcode: dns.RcodeBadCookie},
		{name: "option", size: 4096, option: []byte{0, 17, 'n', 'o'}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			query := new(dns.Msg).SetQuestion("a.b.", dns.TypeA).SetEdns0(c.size, false)
			query.IsEdns0().Hdr.Ttl = uint32(c.flags)
			query.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0011223344556677"}}
			q := ask(t, query)
			var r Reply
			r.Start(q, c.rcode)
			if c.option != nil {
				r.AddOption(dns.EDNS0EDE, c.option)
			}
			m := finished(t, &r, q, q.MaxReply())
			opt := m.IsEdns0()
			if opt == nil || len(m.Extra) != 1 {
				t.Fatalf("additional section: %v", m.Extra)
			}
			if opt.UDPSize() != c.size || uint16(opt.Hdr.Ttl) != c.wantFlags || opt.Version() != 0 || m.Rcode != c.rcode {
				t.Errorf("OPT %v, rcode %d", opt, m.Rcode)
			}
			if got := packOptions(opt); !bytes.HasSuffix(got, c.option) || (c.option == nil) != (len(got) == 0) {
				t.Errorf("options %x, want %x", got, c.option)
			}
		})
	}
}

func TestAddOptionWithoutEDNS(t *testing.T) {
	t.Parallel()
	q := askFor(t, "a.", dns.TypeA)
	var r Reply
	r.Start(q, dns.RcodeRefused)
	r.AddOption(dns.EDNS0EDE, []byte{0, 15})
	if m := finished(t, &r, q, 512); len(m.Extra) != 0 || m.Rcode != dns.RcodeRefused {
		t.Fatalf("%v", m)
	}
}

// RFC 6891, section 6.1.3.
func TestBadVersion(t *testing.T) {
	t.Parallel()
	query := new(dns.Msg).SetQuestion("a.", dns.TypeA).SetEdns0(4000, true)
	query.IsEdns0().SetVersion(3)
	q := ask(t, query)
	if q.EDNS.Version != 3 {
		t.Fatalf("version %d", q.EDNS.Version)
	}
	var r Reply
	r.BadVersion(q)
	m := finished(t, &r, q, q.MaxReply())
	if opt := m.IsEdns0(); m.Rcode != dns.RcodeBadVers || opt == nil || opt.Version() != 0 {
		t.Fatalf("%v", m)
	}
}

func TestReplyFlags(t *testing.T) {
	t.Parallel()
	query := new(dns.Msg).SetQuestion("a.", dns.TypeA)
	query.CheckingDisabled, query.AuthenticatedData = true, true
	q := ask(t, query)
	var r Reply
	r.Start(q, dns.RcodeSuccess)
	if got, want := r.Flags(), "qr,rd,cd"; got != want {
		t.Errorf("flags %q, want %q", got, want)
	}
	r.SetAuthoritative(true)
	r.SetRecursionAvailable(true)
	r.SetTruncated(true)
	r.SetRcode(dns.RcodeNameError)
	m := finished(t, &r, q, 512)
	if !m.Authoritative || !m.RecursionAvailable || !m.Truncated || m.Rcode != dns.RcodeNameError || !r.Truncated() {
		t.Errorf("%v", m.MsgHdr)
	}
	r.SetTruncated(false)
	if got, want := r.Flags(), "qr,aa,rd,ra,cd"; got != want {
		t.Errorf("flags %q, want %q", got, want)
	}
}

func TestReplyStates(t *testing.T) {
	t.Parallel()
	q := askFor(t, "a.", dns.TypeA)
	var r Reply
	if r.Made() || r.Dropped() {
		t.Error("a new reply is made or dropped")
	}
	r.Start(q, dns.RcodeSuccess)
	if !r.Made() {
		t.Error("not made after Start")
	}
	r.Drop()
	if r.Made() || !r.Dropped() {
		t.Error("not dropped after Drop")
	}
	r.Reset()
	if r.Made() || r.Dropped() || r.Len() != 0 {
		t.Error("something is left after Reset")
	}
}

func TestResetGivesHugeBuffersBack(t *testing.T) {
	t.Parallel()
	q := askFor(t, "a.", dns.TypeA)
	var r Reply
	r.Start(q, dns.RcodeSuccess)
	for range 10_000 {
		r.Address(QuestionName, make([]byte, 16), 1)
	}
	r.Reset()
	if cap(r.buf) > 1<<16 || cap(r.records) > 1<<13 {
		t.Errorf("kept %d bytes and %d places", cap(r.buf), cap(r.records))
	}
}

func TestMoreRecordsThanACountHolds(t *testing.T) {
	t.Parallel()
	q := askFor(t, "a.", dns.TypeA)
	var r Reply
	r.Start(q, dns.RcodeSuccess)
	for i := range 70_000 {
		r.Address(QuestionName, binary.BigEndian.AppendUint32(nil, uint32(i)), 1)
	}
	if r.Count(Answer) != 70_000 {
		t.Errorf("%d records", r.Count(Answer))
	}
	m := finished(t, &r, q, dns.MaxMsgSize)
	if want := (dns.MaxMsgSize - headerSize - 3 - 4) / 16; len(m.Answer) != want || !m.Truncated {
		t.Errorf("%d records, TC %v; want %d", len(m.Answer), m.Truncated, want)
	}
}

// The weight of each of n is the share of 100 that floating-point arithmetic yields in CoreDNS: rounded down, at least 1.
func TestWeight(t *testing.T) {
	for n := 1; n <= 70_000; n++ {
		want := uint16(max(1, math.Floor(100.0/float64(100*n)*100)))
		if got := Weight(n); got != want {
			t.Fatalf("weight of each of %d is %d, want %d", n, got, want)
		}
	}
}
