package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/miekg/dns"
)

// theirVerdict is what miekg/dns's server, with CoreDNS's behind it, does with a packet: the error of ours that means the
// same, and the message as far as it was read.
func theirVerdict(packet []byte) (error, *dns.Msg) {
	if len(packet) < headerSize {
		return ErrIgnored, nil
	}
	word := func(i int) uint16 { return binary.BigEndian.Uint16(packet[2*i:]) }
	header := dns.Header{Id: word(0), Bits: word(1), Qdcount: word(2), Ancount: word(3), Nscount: word(4), Arcount: word(5)}
	m := new(dns.Msg)
	switch dns.DefaultMsgAcceptFunc(header) {
	case dns.MsgIgnore:
		return ErrIgnored, nil
	case dns.MsgReject:
		_ = m.Unpack(packet[:headerSize])
		return ErrFormat, m
	case dns.MsgRejectNotImplemented:
		_ = m.Unpack(packet[:headerSize])
		return ErrOpcode, m
	}
	err := m.Unpack(packet)
	switch {
	case err != nil:
		return ErrFormat, m
	case len(m.Question) == 0:
		return ErrQuestion, m
	}
	return nil, m
}

// theirFailure is the reply that miekg/dns sends for such a verdict; nil for none.
func theirFailure(verdict error, m *dns.Msg) []byte {
	reply := m.Copy()
	switch verdict {
	case ErrFormat, ErrOpcode:
		opcode := m.Opcode
		reply.SetRcodeFormatError(m)
		reply.Zero = false
		if verdict == ErrOpcode {
			reply.Opcode, reply.Rcode = opcode, dns.RcodeNotImplemented
		}
		reply.Answer, reply.Ns, reply.Extra = nil, nil, nil
	case ErrQuestion:
		reply = new(dns.Msg).SetRcode(m, dns.RcodeServerFailure)
	}
	packet, err := reply.Pack()
	if err != nil {
		return nil
	}
	return packet
}

// checkVerdict compares everything that Parse says of a packet with what miekg/dns says.
func checkVerdict(t *testing.T, q *Query, packet []byte) {
	t.Helper()
	want, m := theirVerdict(packet)
	got := q.Parse(packet)
	if !errors.Is(got, want) {
		t.Fatalf("Parse(%x) = %v, want %v", packet, got, want)
	}
	if got != nil {
		checkFailure(t, q, packet, got, m)
		return
	}
	checkQuestion(t, q, packet, m)
	checkEDNS(t, q, packet, m.IsEdns0())
}

func checkFailure(t *testing.T, q *Query, packet []byte, verdict error, m *dns.Msg) {
	t.Helper()
	var r Reply
	if sent := r.Fail(q, verdict); sent != (verdict != ErrIgnored) {
		t.Fatalf("Fail(%x, %v) = %v", packet, verdict, sent)
	}
	if verdict == ErrIgnored {
		return
	}
	got := r.Finish(q, dns.MinMsgSize)
	if want := theirFailure(verdict, m); want != nil && !bytes.Equal(got, want) {
		t.Fatalf("the reply to %x (%v) is\n%x, want\n%x", packet, verdict, got, want)
	}
}

func checkQuestion(t *testing.T, q *Query, packet []byte, m *dns.Msg) {
	t.Helper()
	question := m.Question[0]
	if q.NameString() != question.Name || q.Type != question.Qtype || q.Class != question.Qclass {
		t.Fatalf("Parse(%x) reads %s %s %s, want %v", packet, q.NameString(), q.ClassString(), q.TypeString(), question)
	}
	if q.ID() != m.Id || q.Opcode() != m.Opcode || q.RD() != m.RecursionDesired || q.AD() != m.AuthenticatedData || q.CD() != m.CheckingDisabled {
		t.Fatalf("Parse(%x): header differs from %v", packet, m.MsgHdr)
	}
	spelling := make([]byte, MaxName+1)
	n, err := dns.PackDomainName(question.Name, spelling, 0, nil, false)
	if err != nil || !bytes.Equal(q.Spelling(0), spelling[:n]) {
		t.Fatalf("Parse(%x): spelling %x, want %x (%v)", packet, q.Spelling(0), spelling[:n], err)
	}
	if want := bytes.ToLower(spelling[:n]); isASCII(want) && !bytes.Equal(q.Name(), want) {
		t.Fatalf("Parse(%x): name %x, want %x", packet, q.Name(), want)
	}
	if q.Labels() != dns.CountLabel(question.Name) {
		t.Fatalf("Parse(%x): %d labels, want %d", packet, q.Labels(), dns.CountLabel(question.Name))
	}
	at := 0
	for i := range q.Labels() {
		if label := q.Name()[at+1 : at+1+int(spelling[at])]; !bytes.Equal(q.Label(i), label) {
			t.Fatalf("Parse(%x): label %d is %q, want %q", packet, i, q.Label(i), label)
		}
		if !bytes.Equal(q.From(i), q.Name()[at:]) || !bytes.Equal(q.Spelling(i), spelling[at:n]) || int(q.LabelRef(i)) != headerSize+at {
			t.Fatalf("Parse(%x): From, Spelling or LabelRef(%d) differ", packet, i)
		}
		zone := Name(q.Name()[at:])
		if left, ok := q.Within(zone); left != i || !ok || int(q.ZoneRef(zone)) != headerSize+at {
			t.Fatalf("Parse(%x): Within(%s) = %d, %v, want %d", packet, zone, left, ok, i)
		}
		at += 1 + int(spelling[at])
	}
	if left, ok := q.Within(Root); left != q.Labels() || !ok {
		t.Fatalf("Parse(%x): Within(.) = %d, %v", packet, left, ok)
	}
}

// isASCII keeps bytes.ToLower from being asked about anything else, which it would read as UTF-8.
func isASCII(b []byte) bool {
	return bytes.IndexFunc(b, func(r rune) bool { return r >= 0x80 }) < 0
}

func checkEDNS(t *testing.T, q *Query, packet []byte, opt *dns.OPT) {
	t.Helper()
	if q.EDNS.Present != (opt != nil) {
		t.Fatalf("Parse(%x): EDNS %v, want %v", packet, q.EDNS.Present, opt)
	}
	if opt == nil {
		return
	}
	if q.EDNS.Size != opt.UDPSize() || q.EDNS.Version != opt.Version() || q.EDNS.DO() != opt.Do() || q.EDNS.Flags != uint16(opt.Hdr.Ttl) {
		t.Fatalf("Parse(%x): EDNS %+v, want %v", packet, q.EDNS, opt)
	}
	if !bytes.Equal(q.EDNS.Options, packOptions(opt)) {
		t.Fatalf("Parse(%x): options %x, want %x", packet, q.EDNS.Options, packOptions(opt))
	}
}

func mustPack(t testing.TB, m *dns.Msg) []byte {
	t.Helper()
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

func mustRR(t testing.TB, text string) dns.RR {
	t.Helper()
	rr, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return rr
}

// seeds are packets from which the others are made by damage.
func seeds(t testing.TB) map[string][]byte {
	question := func(name string, qtype uint16) *dns.Msg { return new(dns.Msg).SetQuestion(name, qtype) }
	all := map[string][]byte{}
	add := func(name string, m *dns.Msg) { all[name] = mustPack(t, m) }

	add("plain", question("kubernetes.default.svc.cluster.local.", dns.TypeA))
	add("root", question(".", dns.TypeNS))
	add("spelled", question("KuberNetes.dEfault.sVc.cluster.LOCAL.", dns.TypeAAAA))
	add("escaped", question(`a\.b.\000\255.Z.`, dns.TypeTXT))
	long := "a."
	for len(long) < 252 {
		long += "b."
	}
	add("most labels", question(long, dns.TypeA))
	add("EDNS", question("a.b.", dns.TypeSRV).SetEdns0(1232, true))
	for code := uint16(0); code < 24; code++ {
		m := question("a.", dns.TypeA).SetEdns0(4096, code%2 == 0)
		m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_LOCAL{Code: code, Data: []byte{0, 1, 24, 0, 10, 0, 0, 1}[:code%9]})
		add(fmt.Sprintf("option %d", code), m)
	}
	two := question("two.opts.", dns.TypeA).SetEdns0(1000, false)
	add("two OPT", two.SetEdns0(2000, true))
	old := question("version.", dns.TypeA).SetEdns0(512, false)
	old.IsEdns0().SetVersion(1)
	add("EDNS version 1", old)
	notify := new(dns.Msg).SetNotify("example.org.")
	notify.Answer = append(notify.Answer, mustRR(t, "example.org. 5 IN SOA ns.example.org. host.example.org. 1 2 3 4 5"))
	notify.Compress = true
	add("notify", notify)
	add("IXFR", new(dns.Msg).SetIxfr("example.org.", 7, "ns.", "host."))
	add("TSIG", question("t.", dns.TypeA).SetTsig("key.", dns.HmacSHA256, 300, 1))
	update := new(dns.Msg).SetUpdate("example.org.")
	add("update", update)
	add("response", new(dns.Msg).SetReply(question("r.", dns.TypeA)))
	all["header only"] = all["plain"][:headerSize]
	all["pointer to itself"] = append(append([]byte(nil), all["plain"][:headerSize]...), 0xc0, 12, 0, 1, 0, 1)
	all["pointer into the header"] = append(append([]byte(nil), all["plain"][:headerSize]...), 1, 'a', 0xc0, 6, 0, 1, 0, 1)
	return all
}

func TestParseJudgesLikeMiekg(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for name, seed := range seeds(t) {
		t.Run(name, func(t *testing.T) {
			var q Query
			checkVerdict(t, &q, seed)
			for cut := range seed {
				checkVerdict(t, &q, seed[:cut:cut])
			}
			for at := range seed {
				for _, b := range []byte{0, 1, 2, 0x3f, 0x40, 0x80, 0xc0, 0xff, seed[at] ^ 1, seed[at] + 1} {
					damaged := bytes.Clone(seed)
					damaged[at] = b
					checkVerdict(t, &q, damaged)
				}
			}
			for range 2000 {
				damaged := append(bytes.Clone(seed), make([]byte, random.IntN(20))...)
				for range 1 + random.IntN(6) {
					damaged[random.IntN(len(damaged))] = byte(random.Uint32())
				}
				checkVerdict(t, &q, damaged)
			}
		})
	}
}

func TestParseJudgesNoiseLikeMiekg(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	var q Query
	for range 50_000 {
		packet := make([]byte, headerSize+random.IntN(60))
		for i := range packet {
			packet[i] = byte(random.Uint32() >> (random.IntN(4) * 2))
		}
		packet[2], packet[3] = packet[2]&1, packet[3]&0x30 // an ordinary query's flags, else hardly one gets further
		copy(packet[4:], []byte{0, 1, 0, byte(random.IntN(2)), 0, byte(random.IntN(2)), 0, byte(random.IntN(3))})
		checkVerdict(t, &q, packet)
	}
}

func FuzzQuery(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed, uint16(512))
	}
	f.Fuzz(func(t *testing.T, packet []byte, limit uint16) {
		var q Query
		checkVerdict(t, &q, packet)
		if q.Parse(packet) != nil {
			return
		}
		checkReply(t, &q, int(limit))
	})
}

// checkReply builds a reply of every kind of record and reads it back.
func checkReply(t *testing.T, q *Query, limit int) {
	t.Helper()
	var r Reply
	r.Start(q, dns.RcodeSuccess)
	for i := range byte(20) {
		r.Address(QuestionName, []byte{10, 0, 0, i}, 30)
	}
	r.Open(QuestionName, dns.TypePTR, 5)
	r.Name([]byte(q.Name()))
	r.Close()
	r.Section(Authority)
	r.SOA(QuestionName, &SOA{MName: "\x02ns\x03dns", RName: "\x0ahostmaster", TTL: 5, Minimum: 5})
	r.Section(Additional)
	r.Address(QuestionName, make([]byte, 16), 5)
	made := [3]int{r.Count(Answer), r.Count(Authority), r.Count(Additional)}
	if made != [3]int{21, 1, 1} {
		t.Fatalf("counts %v", made)
	}
	packet := r.Finish(q, limit)
	if len(packet) > max(limit, dns.MinMsgSize) {
		t.Fatalf("reply of %d bytes, limit %d", len(packet), limit)
	}
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		if mayNotUnpack(q) {
			return
		}
		t.Fatalf("reply %x: %v", packet, err)
	}
	if len(m.Question) != 1 || m.Question[0].Name != q.NameString() || m.Question[0].Qtype != q.Type || m.Question[0].Qclass != q.Class || m.Id != q.ID() {
		t.Fatalf("question %v, want %s", m.Question, q.NameString())
	}
	if (m.IsEdns0() != nil) != q.EDNS.Present {
		t.Fatalf("OPT %v in the reply, %v in the query", m.IsEdns0(), q.EDNS.Present)
	}
	extra := len(m.Extra)
	if q.EDNS.Present {
		extra--
	}
	if kept := len(m.Answer) + len(m.Ns) + extra; m.Truncated != (kept < 23) {
		t.Fatalf("%d records kept, TC %v", kept, m.Truncated)
	}
}

// mayNotUnpack is for the SOA's names: labels put before a long name are too long together.
func mayNotUnpack(q *Query) bool { return len(q.Name()) > MaxName-11 }
