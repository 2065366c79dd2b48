package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// theirPacket is what miekg/dns reads of an upstream's packet, as SetPacket has to take it; nil when it is to be refused.
func theirPacket(q *Query, packet []byte) *dns.Msg {
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil || !m.Response || len(m.Question) != 1 || binary.BigEndian.Uint16(packet[4:]) != 1 {
		return nil
	}
	asked := dns.Question{Name: q.NameString(), Qtype: q.Type, Qclass: q.Class}
	was := m.Question[0]
	if !strings.EqualFold(was.Name, asked.Name) || was.Qtype != asked.Qtype || was.Qclass != asked.Qclass {
		return nil
	}
	m.Extra, _ = withoutOPT(m.Extra)
	m.Id = q.ID()
	return m
}

// checkPacket compares SetPacket with what miekg/dns reads.
func checkPacket(t *testing.T, q *Query, r *Reply, packet []byte) {
	t.Helper()
	err := r.SetPacket(q, packet)
	want := theirPacket(q, packet)
	if err != nil {
		if r.Made() || r.Len() != 0 {
			t.Fatalf("SetPacket(%x) left a reply behind an error", packet)
		}
		if want != nil && q.AnsweredBy(packet) {
			if again, packs := want.Pack(); packs == nil && new(dns.Msg).Unpack(again) == nil {
				t.Fatalf("SetPacket(%x) = %v, but miekg/dns reads %v", packet, err, want)
			}
		}
		return
	}
	if want == nil {
		t.Fatalf("SetPacket(%x) was accepted", packet)
	}
	got, err := r.Msg()
	if err != nil {
		t.Fatalf("SetPacket(%x): the reply does not unpack: %v", packet, err)
	}
	if got.Question[0].Name != q.NameString() {
		t.Fatalf("SetPacket(%x): question %v", packet, got.Question)
	}
	// Names that point into the question come back in the query's spelling, the others in the upstream's.
	if diff := cmp.Diff(strings.ToLower(want.String()), strings.ToLower(got.String())); diff != "" {
		t.Fatalf("SetPacket(%x): -want +got\n%s", packet, diff)
	}
	if err := r.Shuffle(q); err != nil {
		t.Fatalf("SetPacket(%x): Shuffle: %v", packet, err)
	}
	shuffled := new(dns.Msg)
	if err := shuffled.Unpack(r.Finish(q, dns.MaxMsgSize)); err != nil {
		t.Fatalf("SetPacket(%x): shuffled, it does not unpack: %v", packet, err)
	}
	checkShuffled(t, 0, got.Answer, shuffled.Answer)
}

func TestSetPacket(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(11, 12))
	query := new(dns.Msg).SetQuestion("name.default.svc.cluster.local.", dns.TypeANY).SetEdns0(1232, true)
	q := ask(t, query)
	var r Reply
	for range 600 {
		m := randomMsg(t, random, query, 14)
		m.Compress = random.IntN(4) > 0
		if random.IntN(2) == 0 {
			m.SetEdns0(4096, false)
		}
		packet := mustPack(t, m)
		checkPacket(t, q, &r, packet)
		for range 40 {
			damaged := bytes.Clone(packet)[:len(packet)-random.IntN(2)*random.IntN(len(packet))]
			for range random.IntN(3) {
				damaged[random.IntN(len(damaged))] = [...]byte{0, 1, 0xc0, 0x3f, 0xff, byte(random.Uint32())}[random.IntN(6)]
			}
			checkPacket(t, q, &r, damaged)
		}
	}
}

// ordinary is the packet of an upstream's reply to example.org A, with what change does to it.
func ordinary(t testing.TB, change func(m *dns.Msg)) []byte {
	t.Helper()
	m := new(dns.Msg).SetReply(new(dns.Msg).SetQuestion("example.org.", dns.TypeA))
	m.RecursionAvailable, m.Compress = true, true
	m.Answer = []dns.RR{mustRR(t, "example.org. 5 IN A 1.2.3.4"), mustRR(t, "example.org. 5 IN A 1.2.3.5")}
	change(m)
	return mustPack(t, m)
}

func TestSetPacketVerdicts(t *testing.T) {
	t.Parallel()
	nothing := func(*dns.Msg) {}
	plain := ordinary(t, nothing)
	edited := func(at int, b ...byte) []byte {
		p := bytes.Clone(plain)
		copy(p[at:], b)
		return p
	}
	const answer = headerSize + 13 + 4 // where the first record's owner stands
	cases := []struct {
		name     string
		packet   []byte
		mismatch bool
		bad      bool
	}{
		{name: "in order", packet: plain},
		{name: "the question in capitals", packet: edited(headerSize+1, []byte("EXAMPLE")...)},
		{name: "another name", packet: edited(headerSize+1, []byte("exampld")...), mismatch: true},
		{name: "another type", packet: edited(answer-4, 0, 28), mismatch: true},
		{name: "another class", packet: edited(answer-2, 0, 3), mismatch: true},
		{name: "no response", packet: edited(2, 0), mismatch: true},
		{name: "another opcode", packet: edited(2, 0x80|4<<3), mismatch: true},
		{name: "no question", packet: edited(4, 0, 0), mismatch: true},
		{name: "two questions", packet: edited(4, 0, 2), mismatch: true},
		{name: "header only", packet: plain[:headerSize], mismatch: true},
		{name: "empty", packet: nil, mismatch: true},
		{name: "cut in a record", packet: plain[:len(plain)-1], bad: true},
		{name: "cut between records, as a careless TC leaves it", packet: plain[:answer+16]},
		{name: "bytes behind", packet: append(bytes.Clone(plain), 1, 2, 3)},
		{name: "owner points to itself", packet: edited(answer, 0xc0, answer), bad: true},
		{name: "owner points ahead", packet: edited(answer, 0xc0, answer+16)},
		{name: "owner points past the end", packet: edited(answer, 0xc0, 0xff), bad: true},
		{name: "address of 3 bytes", packet: edited(answer+11, 3), bad: true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			q := askFor(t, "example.org.", dns.TypeA)
			var r Reply
			err := r.SetPacket(q, c.packet)
			if errors.Is(err, ErrMismatch) != c.mismatch || (err != nil) != (c.mismatch || c.bad) {
				t.Fatalf("SetPacket = %v", err)
			}
			if err == nil {
				checkPacket(t, q, &r, c.packet)
			}
		})
	}
}

func TestSetPacketKeeps(t *testing.T) {
	t.Parallel()
	q := ask(t, new(dns.Msg).SetQuestion("eXample.org.", dns.TypeA).SetEdns0(1400, false))
	var r Reply
	err := r.SetPacket(q, ordinary(t, func(m *dns.Msg) {
		m.Question[0].Name, m.Answer[0].Header().Name = "Example.ORG.", "Example.ORG."
		m.AuthenticatedData, m.Authoritative, m.Truncated = true, true, true
		m.Rcode = dns.RcodeBadCookie
		m.SetEdns0(4096, true)
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_NSID{Code: dns.EDNS0NSID, Nsid: "6162"}}
	}))
	if err != nil {
		t.Fatal(err)
	}
	m := finished(t, &r, q, q.MaxReply())
	opt := m.IsEdns0()
	if m.Id != q.ID() || !m.AuthenticatedData || !m.Authoritative || !m.Truncated || !m.RecursionAvailable || m.Rcode != dns.RcodeBadCookie {
		t.Errorf("header %v", m.MsgHdr)
	}
	if opt == nil || opt.UDPSize() != 1400 || opt.Do() || len(m.Extra) != 1 || len(opt.Option) != 1 {
		t.Errorf("additional section %v", m.Extra)
	}
	if m.Question[0].Name != "eXample.org." || m.Answer[0].Header().Name != "eXample.org." {
		t.Errorf("spelling: %v %v", m.Question, m.Answer)
	}
}

// An OPT record that is not the last is found all the same.
func TestSetPacketOPTInTheMiddle(t *testing.T) {
	t.Parallel()
	q := askFor(t, "example.org.", dns.TypeA)
	var r Reply
	err := r.SetPacket(q, ordinary(t, func(m *dns.Msg) {
		m.SetEdns0(4096, true)
		m.Extra = append(m.Extra, mustRR(t, "ns.example.org. 5 IN A 1.1.1.1"), mustRR(t, "b.ns.example.org. 5 IN A 1.1.1.1"))
	}))
	if err != nil {
		t.Fatal(err)
	}
	m := finished(t, &r, q, 512)
	if m.IsEdns0() != nil || len(m.Extra) != 2 || m.Extra[1].Header().Name != "b.ns.example.org." {
		t.Errorf("%v", m)
	}
}

func FuzzSetPacket(f *testing.F) {
	f.Add(ordinary(f, func(*dns.Msg) {}))
	f.Add(ordinary(f, func(m *dns.Msg) {
		m.SetEdns0(1232, true)
		m.Ns = append(m.Ns, mustRR(f, "example.org. 5 IN SOA ns.example.org. h.example.org. 1 2 3 4 5"), mustRR(f, "org. 5 IN NS a.org."))
	}))
	f.Add(ordinary(f, func(m *dns.Msg) {
		m.Answer = []dns.RR{mustRR(f, "example.org. 5 IN CNAME www.example.org."), mustRR(f, "www.example.org. 5 IN TXT \"a\" \"b\""),
			mustRR(f, "www.example.org. 5 IN MX 1 mx.example.org."), mustRR(f, "www.example.org. 5 IN SRV 1 2 3 a.example.org.")}
	}))
	query := new(dns.Msg).SetQuestion("example.org.", dns.TypeA)
	f.Fuzz(func(t *testing.T, packet []byte) {
		q := ask(t, query)
		var r Reply
		checkPacket(t, q, &r, packet)
		if r.SetPacket(q, packet) == nil {
			if out := r.Finish(q, 600); new(dns.Msg).Unpack(out) != nil || len(out) > 600 {
				t.Fatalf("SetPacket(%x): cut to 600, it is %x", packet, out)
			}
		}
	})
}
