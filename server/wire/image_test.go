package wire

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// imageOf is the image of a packed reply to q, which goes through SetPacket as an upstream's does.
func imageOf(t testing.TB, q *Query, packet []byte) (*Image, *Reply) {
	t.Helper()
	r := new(Reply)
	if err := r.SetPacket(q, packet); err != nil {
		t.Skip(err)
	}
	i := r.Image(q)
	if i == nil {
		t.Fatal("no image of a reply to the question")
	}
	return i, r
}

func TestImage(t *testing.T) {
	t.Parallel()
	ask := func(m *dns.Msg) *Query {
		q := new(Query)
		if err := q.Parse(mustPack(t, m)); err != nil {
			t.Fatal(err)
		}
		return q
	}
	query := new(dns.Msg).SetQuestion("www.Example.org.", dns.TypeMX)
	reply := new(dns.Msg).SetReply(query)
	reply.Compress, reply.Authoritative, reply.AuthenticatedData, reply.RecursionAvailable = true, true, true, true
	for _, text := range []string{"www.Example.org. 300 MX 10 mail.Example.org.", "www.Example.org. 200 MX 20 mail.example.net.", "other.test. 7 TXT a b"} {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		reply.Answer = append(reply.Answer, rr)
	}
	reply.SetEdns0(4096, true)
	image, _ := imageOf(t, ask(query), mustPack(t, reply))

	for _, test := range []struct {
		name   string
		change func(m *dns.Msg)
		flags  string
	}{
		{name: "plain", change: func(*dns.Msg) {}, flags: "qr,aa,rd,ra"},
		{name: "no RD, CD, AD", change: func(m *dns.Msg) { m.RecursionDesired, m.CheckingDisabled, m.AuthenticatedData = false, true, true }, flags: "qr,aa,ra,ad,cd"},
		{name: "DO", change: func(m *dns.Msg) { m.SetEdns0(1232, true) }, flags: "qr,aa,rd,ra,ad"},
		{name: "EDNS without DO", change: func(m *dns.Msg) { m.SetEdns0(1232, false) }, flags: "qr,aa,rd,ra"},
	} {
		m := new(dns.Msg).SetQuestion("wWw.example.ORG.", dns.TypeMX)
		test.change(m)
		q := ask(m)
		if !image.Answers(q) || image.Rcode() != dns.RcodeSuccess {
			t.Errorf("%s: the image does not answer %s, or by rcode %d", test.name, q.NameString(), image.Rcode())
		}
		r := new(Reply)
		r.SetImage(q, image, 77)
		if r.Flags() != test.flags {
			t.Errorf("%s: flags %s, want %s", test.name, r.Flags(), test.flags)
		}
		got := new(dns.Msg)
		if err := got.Unpack(r.Finish(q, 512)); err != nil {
			t.Fatal(err)
		}
		if got.Id != m.Id || got.Question[0] != m.Question[0] || (got.IsEdns0() != nil) != (m.IsEdns0() != nil) {
			t.Errorf("%s: %v", test.name, got)
		}
		var records []string
		for _, rr := range got.Answer {
			records = append(records, rr.String())
		}
		want := []string{
			"wWw.example.ORG.\t77\tIN\tMX\t10 mail.example.ORG.", "wWw.example.ORG.\t77\tIN\tMX\t20 mail.example.net.",
			"other.test.\t77\tIN\tTXT\t\"a\" \"b\"",
		}
		if diff := cmp.Diff(want, records); diff != "" {
			t.Errorf("%s: -want +got\n%s", test.name, diff)
		}
	}
	for _, other := range []*dns.Msg{
		new(dns.Msg).SetQuestion("ww.Example.org.", dns.TypeMX), new(dns.Msg).SetQuestion("www.example.org.", dns.TypeA),
		new(dns.Msg).SetQuestion(".", dns.TypeMX), new(dns.Msg).SetQuestion("www.example.org.www.example.org.", dns.TypeMX),
	} {
		if q := ask(other); image.Answers(q) {
			t.Errorf("the image answers %s %s", q.NameString(), q.TypeString())
		}
	}
}

// There is no image of what is no answer to the question, or too large for a message.
func TestNoImage(t *testing.T) {
	t.Parallel()
	q := mustQuery(t, "example.org.", dns.TypeA)
	var r Reply
	if r.Image(q) != nil {
		t.Error("an image of a reply that was not made")
	}
	r.Start(mustQuery(t, "example.net.", dns.TypeA), dns.RcodeSuccess)
	if r.Image(q) != nil || r.Answers(q) {
		t.Error("an image of a reply to another name")
	}
	r.Start(mustQuery(t, "example.org.", dns.TypeAAAA), dns.RcodeSuccess)
	if r.Image(q) != nil {
		t.Error("an image of a reply to another type")
	}
	r.Start(q, dns.RcodeSuccess)
	for r.Len() <= dns.MaxMsgSize {
		r.Address(QuestionName, []byte{192, 0, 2, 1}, 30)
	}
	if r.Image(q) != nil {
		t.Error("an image of 64 KiB and more")
	}
}

func mustQuery(t testing.TB, name string, qtype uint16) *Query {
	t.Helper()
	q := new(Query)
	if err := q.Parse(NewQuery(1, mustName(t, name), qtype)); err != nil {
		t.Fatal(err)
	}
	return q
}

func TestSetAD(t *testing.T) {
	t.Parallel()
	for _, extra := range []int{0, 2} { // a query that is read here, and one that is read by miekg/dns
		m := new(dns.Msg).SetQuestion("example.org.", dns.TypeA)
		for range extra {
			m.Extra = append(m.Extra, &dns.TXT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{"x"}})
		}
		q := new(Query)
		if err := q.Parse(mustPack(t, m)); err != nil {
			t.Fatal(err)
		}
		for _, on := range []bool{true, true, false} {
			q.SetAD(on)
			got, err := q.Msg()
			if err != nil {
				t.Fatal(err)
			}
			if q.AD() != on || got.AuthenticatedData != on || !got.RecursionDesired {
				t.Errorf("SetAD(%v): %v, %v", on, q.AD(), got)
			}
		}
	}
}

func TestRecordsOfReply(t *testing.T) {
	t.Parallel()
	q := mustQuery(t, "a.example.org.", dns.TypeA)
	var r Reply
	r.Start(q, dns.RcodeSuccess)
	r.Open(QuestionName, dns.TypeCNAME, 5)
	target := r.Name([]byte("\x01B\x07EXAMPLE\x03org\x00"))
	r.Close()
	r.Address(target, []byte{192, 0, 2, 1}, 1<<31)
	r.Section(Additional)
	r.OpenBelow("c", QuestionName, dns.TypeTXT, 9)
	r.Text("\x01x")
	r.Close()
	if r.Records() != 3 {
		t.Fatalf("%d records", r.Records())
	}
	alias, address, text := r.Record(0), r.Record(1), r.Record(2)
	if alias.Type != dns.TypeCNAME || address.TTL != 1<<31 || address.Class != dns.ClassINET || string(r.Data(address)) != "\xc0\x00\x02\x01" || string(r.Data(text)) != "\x01x" {
		t.Errorf("%+v, %+v, %+v", alias, address, text)
	}
	for _, test := range []struct {
		a, b Ref
		same bool
	}{
		{a: alias.Owner, b: QuestionName, same: true},
		{a: alias.Data, b: address.Owner, same: true},
		{a: alias.Data, b: alias.Owner},
		{a: text.Owner, b: QuestionName},
		{a: QuestionName, b: text.Owner + 2, same: true},
		{a: Ref(r.Len()), b: Ref(r.Len())},
	} {
		if r.SameNames(test.a, test.b) != test.same || r.SameNames(test.b, test.a) != test.same {
			t.Errorf("names at %d and %d the same: %v", test.a, test.b, !test.same)
		}
	}
	for name, same := range map[Name]bool{"b.example.org.": true, "b.example.org.org.": false, "example.org.": false, ".": false, "c.example.org.": false} {
		if n := mustName(t, string(name)); r.SameName(alias.Data, []byte(n)) != same {
			t.Errorf("the target is %s: %v", name, !same)
		}
	}
	r.SetTTL(42)
	for i := range 3 {
		if r.Record(i).TTL != 42 {
			t.Errorf("record %d: TTL %d", i, r.Record(i).TTL)
		}
	}
}

// FuzzImage: whatever an upstream sends, the reply made of its image is the reply itself with another TTL.
func FuzzImage(f *testing.F) {
	query := new(dns.Msg).SetQuestion("www.example.org.", dns.TypeA)
	for _, text := range [][]string{
		{"www.example.org. 300 A 192.0.2.1"}, {"www.example.org. 300 CNAME a.example.org.", "a.example.org. 1 A 192.0.2.1"},
		{"example.org. 3 SOA a. b. 1 2 3 4 5"}, {"x.test. 9 CAA 0 issue \"ca\""}, {},
	} {
		reply := new(dns.Msg).SetReply(query)
		reply.Compress = true
		for _, record := range text {
			rr, err := dns.NewRR(record)
			if err != nil {
				f.Fatal(err)
			}
			reply.Answer = append(reply.Answer, rr)
		}
		f.Add(mustPack(f, reply))
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		q := new(Query)
		if err := q.Parse(mustPack(t, query)); err != nil {
			t.Fatal(err)
		}
		image, direct := imageOf(t, q, packet)
		for i := range direct.Records() {
			direct.SameNames(direct.Record(i).Owner, direct.Record(i).Data)
		}
		direct.SetTTL(1234)
		again := new(Reply)
		again.SetImage(q, image, 1234)
		want, err := direct.Msg()
		if err != nil {
			t.Skip(err)
		}
		got, err := again.Msg()
		if err != nil {
			t.Fatal(err)
		}
		want.MsgHdr = got.MsgHdr
		if diff := cmp.Diff(want.String(), got.String()); diff != "" {
			t.Errorf("-direct +image\n%s", diff)
		}
	})
}
