package wire

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/miekg/dns"
)

// A pointer in a question may lead to the header, whose first two bytes are the ID: a forwarder changes that, and must
// not change the name with it (RFC 1035, section 4.1.4).
func TestPacketOfAPointedQuestion(t *testing.T) {
	t.Parallel()
	packet := []byte("\x01\x30\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\xc0\x00\x00\x01\x00\x01")
	var q Query
	if err := q.Parse(packet); err != nil {
		t.Fatal(err)
	}
	name := q.NameString()
	forwarded := bytes.Clone(q.Packet())
	binary.BigEndian.PutUint16(forwarded, 0x0276)
	var again Query
	if err := again.Parse(forwarded); err != nil {
		t.Fatal(err)
	}
	if again.NameString() != name {
		t.Errorf("under another ID the question is %q, want %q", again.NameString(), name)
	}
}

// RFC 6891, section 6.1.4: reserved flags mean nothing yet. A reply that was made here has the client's, as CoreDNS's
// have; a reply that came from elsewhere has those of that server.
func TestReservedFlags(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name           string
		client, server uint16
		foreign        bool
		want           uint16
	}{
		{name: "own reply", client: 0xa000, want: 0xa000},
		{name: "own reply, low flags", client: 0x00ff, want: 0},
		{name: "foreign reply", client: 0xa000, server: 0, foreign: true, want: 0x8000},
		{name: "foreign reply with flags", client: 0, server: 0xc100, foreign: true, want: 0x4100},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m := new(dns.Msg).SetQuestion("www.example.com.", dns.TypeA)
			m.Extra = []dns.RR{&dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT, Class: 1232, Ttl: uint32(tc.client)}}}
			packet, err := m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			var q Query
			if err := q.Parse(packet); err != nil {
				t.Fatal(err)
			}
			replies := map[string]func(r *Reply) error{"made": func(r *Reply) error { r.Start(&q, 0); return nil }}
			if tc.foreign {
				answer := new(dns.Msg).SetReply(m)
				answer.Extra = []dns.RR{&dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT, Class: 512, Ttl: uint32(tc.server)}}}
				foreign, err := answer.Pack()
				if err != nil {
					t.Fatal(err)
				}
				replies = map[string]func(r *Reply) error{
					"SetMsg":    func(r *Reply) error { return r.SetMsg(&q, answer) },
					"SetPacket": func(r *Reply) error { return r.SetPacket(&q, foreign) },
				}
			}
			for how, set := range replies {
				var r Reply
				if err := set(&r); err != nil {
					t.Fatal(err)
				}
				got := new(dns.Msg)
				if err := got.Unpack(r.Finish(&q, 512)); err != nil {
					t.Fatal(err)
				}
				if flags := uint16(got.IsEdns0().Hdr.Ttl); flags != tc.want {
					t.Errorf("%s: flags %04x, want %04x", how, flags, tc.want)
				}
			}
		})
	}
}
