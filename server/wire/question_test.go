package wire

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// asked is a query that miekg/dns packed.
func asked(t testing.TB, change func(m *dns.Msg)) []byte {
	t.Helper()
	m := new(dns.Msg).SetQuestion("WWW.Example.org.", dns.TypeA)
	m.Id = 4711
	change(m)
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

func subnet() *dns.EDNS0_SUBNET {
	return &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: []byte{192, 0, 2, 0}}
}

func queries() []struct {
	name   string
	change func(m *dns.Msg)
} {
	return []struct {
		name   string
		change func(m *dns.Msg)
	}{
		{name: "no EDNS", change: func(*dns.Msg) {}},
		{name: "EDNS", change: func(m *dns.Msg) { m.SetEdns0(1232, true) }},
		{name: "a cookie", change: func(m *dns.Msg) {
			m.SetEdns0(1232, false)
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"}}
		}},
		{name: "a subnet, which miekg/dns reads", change: func(m *dns.Msg) {
			m.SetEdns0(1232, false)
			m.IsEdns0().Option = []dns.EDNS0{subnet()}
		}},
		{name: "a local option", change: func(m *dns.Msg) {
			m.SetEdns0(1232, false)
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_LOCAL{Code: 0xffee, Data: []byte("abcd")}}
		}},
		{name: "a record beside OPT", change: func(m *dns.Msg) {
			m.SetEdns0(1232, false)
			m.Extra = append(m.Extra, &dns.A{Hdr: dns.RR_Header{Name: "a.", Rrtype: dns.TypeA, Class: dns.ClassINET}, A: []byte{192, 0, 2, 1}})
		}},
	}
}

func TestSetQuestion(t *testing.T) {
	t.Parallel()
	for _, tc := range queries() {
		packet := asked(t, tc.change)
		before := bytes.Clone(packet)
		var q Query
		if err := q.Parse(packet); err != nil {
			t.Fatal(err)
		}
		client := q
		if err := q.SetQuestion([]byte("\x05Inner\x04test\x00"), dns.TypeMX, dns.ClassCHAOS); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		want := new(dns.Msg)
		if err := want.Unpack(before); err != nil {
			t.Fatal(err)
		}
		want.Question = []dns.Question{{Name: "Inner.test.", Qtype: dns.TypeMX, Qclass: dns.ClassCHAOS}}
		got := new(dns.Msg)
		if err := got.Unpack(q.Packet()); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if diff := cmp.Diff(want.String(), got.String()); diff != "" {
			t.Errorf("%s: the packet (-want +got):\n%s", tc.name, diff)
		}
		if string(q.Name()) != "\x05inner\x04test\x00" || q.Type != dns.TypeMX || q.Class != dns.ClassCHAOS || q.ID() != 4711 {
			t.Errorf("%s: view %s %s %s", tc.name, q.Name(), q.TypeString(), q.ClassString())
		}
		if !bytes.Equal(packet, before) || client.NameString() != "WWW.Example.org." || !bytes.Equal(client.Packet(), before) {
			t.Errorf("%s: the client's query has changed", tc.name)
		}
	}
}

func TestSetEDNS(t *testing.T) {
	t.Parallel()
	for _, tc := range queries() {
		for _, e := range []EDNS{
			{},
			{Present: true, Size: 4096, Flags: 1 << 15, Options: AppendOption(nil, 0xffee, []byte("x"))},
			{Present: true, Size: 512, Options: AppendOption(AppendOption(nil, dns.EDNS0NSID, nil), dns.EDNS0SUBNET, []byte{0, 1, 24, 0, 192, 0, 2})},
		} {
			var q Query
			if err := q.Parse(asked(t, tc.change)); err != nil {
				t.Fatal(err)
			}
			if err := q.SetEDNS(e); err != nil {
				t.Fatalf("%s: %v", tc.name, err)
			}
			if diff := cmp.Diff(e, q.EDNS); diff != "" && (e.Present || q.EDNS.Present) {
				t.Errorf("%s: (-want +got):\n%s", tc.name, diff)
			}
			m := new(dns.Msg)
			if err := m.Unpack(q.Packet()); err != nil {
				t.Fatalf("%s: %v", tc.name, err)
			}
			opt := m.IsEdns0()
			if (opt != nil) != e.Present || opt != nil && (opt.UDPSize() != e.Size || opt.Do() != e.DO()) {
				t.Errorf("%s: OPT %v, want %+v", tc.name, opt, e)
			}
			if m.Question[0].Name != "WWW.Example.org." || q.NameString() != "WWW.Example.org." {
				t.Errorf("%s: the question is %v", tc.name, m.Question)
			}
		}
	}
}

// RFC 1035, section 5.1: what a person writes and what miekg/dns reads are the same.
func TestAppendText(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		".", "org.", "WwW.Example.ORG.", `a\.b.Example.`, `sp\ ace.`, `q\"uote\\.`, `\000\255\127.x.`, `at\@s\;p\(p\)\'.`,
	} {
		var q Query
		if err := q.Parse(asked(t, func(m *dns.Msg) { m.Question[0].Name = name })); err != nil {
			t.Fatal(err)
		}
		if got, want := string(q.AppendText(nil)), strings.ToLower(q.NameString()); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	var client Query
	if err := client.Parse(asked(t, func(*dns.Msg) {})); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		qname string
		want  bool
	}{
		{name: "another type", qname: "\x03www\x07example\x03org\x00", want: true},
		{name: "another name of this length", qname: "\x03wwx\x07example\x03org\x00"},
		{name: "another name", qname: "\x01a\x00"},
	} {
		q, r := client, Reply{}
		if err := q.SetQuestion([]byte(tc.qname), dns.TypeTXT, dns.ClassINET); err != nil {
			t.Fatal(err)
		}
		r.Start(&q, dns.RcodeSuccess)
		r.Address(QuestionName, []byte{192, 0, 2, 1}, 60)
		if got := r.Restore(&client); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
		if !tc.want {
			continue
		}
		r.SetRecordTTL(0, 7)
		m := new(dns.Msg)
		if err := m.Unpack(r.Finish(&client, 512)); err != nil {
			t.Fatal(err)
		}
		if m.Question[0].Qtype != dns.TypeA || m.Question[0].Name != "WWW.Example.org." || m.Answer[0].Header().Ttl != 7 {
			t.Errorf("%s: %v", tc.name, m)
		}
	}
}

func TestOptionsEndWhereMalformed(t *testing.T) {
	t.Parallel()
	b := AppendOption(AppendOption(nil, 3, nil), 0xffee, []byte("abcd"))
	for cut, want := range map[int]int{0: 0, 3: 0, 4: 1, 8: 1, 11: 1, 12: 2} {
		n := 0
		for range Options(b[:cut]) {
			n++
		}
		if n != want {
			t.Errorf("%d of %d bytes: %d options, want %d", cut, len(b), n, want)
		}
	}
}

// RFC 6891, section 6.1.3: a response code of more than four bits needs an OPT record. Without one BADVERS would be NOERROR.
func TestExtendedRcodeWithoutEDNS(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		edns bool
		want int
	}{{name: "EDNS", edns: true, want: dns.RcodeBadVers}, {name: "no EDNS", want: dns.RcodeServerFailure}} {
		var q Query
		if err := q.Parse(asked(t, func(m *dns.Msg) {
			if tc.edns {
				m.SetEdns0(1232, false)
			}
		})); err != nil {
			t.Fatal(err)
		}
		var r Reply
		r.Start(&q, dns.RcodeBadVers)
		m := new(dns.Msg)
		if err := m.Unpack(r.Finish(&q, 512)); err != nil || m.Rcode != tc.want {
			t.Errorf("%s: rcode %d, want %d (%v)", tc.name, m.Rcode, tc.want, err)
		}
	}
}
