package wire

import (
	"testing"

	"github.com/miekg/dns"
)

// startReply is an empty reply to a question.
func startReply(t *testing.T, name string, qtype uint16) (*Query, *Reply) {
	t.Helper()
	packet, err := new(dns.Msg).SetQuestion(name, qtype).Pack()
	if err != nil {
		t.Fatal(err)
	}
	q, r := new(Query), new(Reply)
	if err := q.Parse(packet); err != nil {
		t.Fatal(err)
	}
	r.Start(q, dns.RcodeSuccess)
	return q, r
}

// The owner's label stands in front of a compression pointer (RFC 1035, section 4.1.4).
func TestOpenBelow(t *testing.T) {
	t.Parallel()
	q, r := startReply(t, "eXample.org.", dns.TypeA)
	r.OpenBelow("_udp", QuestionName, dns.TypeSRV, 5)
	r.Uint16(0)
	r.Uint16(0)
	r.Uint16(4242)
	r.Bytes([]byte{0})
	r.Close()
	r.Address(QuestionName, []byte{10, 0, 0, 1}, 5)
	var m dns.Msg
	if err := m.Unpack(r.Finish(q, dns.MaxMsgSize)); err != nil {
		t.Fatal(err)
	}
	want := []string{"_udp.eXample.org.\t5\tIN\tSRV\t0 0 4242 .", "eXample.org.\t5\tIN\tA\t10.0.0.1"}
	for i, rr := range m.Answer {
		if rr.String() != want[i] {
			t.Errorf("record %d is %q, want %q", i, rr, want[i])
		}
	}
	if len(m.Answer) != len(want) {
		t.Errorf("%d records, want %d", len(m.Answer), len(want))
	}
}

func TestHas(t *testing.T) {
	t.Parallel()
	_, r := startReply(t, "example.org.", dns.TypeA)
	r.Address(QuestionName, []byte{10, 0, 0, 1}, 5)
	r.Section(Authority)
	r.SOA(QuestionName, &SOA{MName: "\x02ns", RName: "\x04root"})
	r.OpenBelow("ns", QuestionName, dns.TypeNS, 5)
	r.Pointer(QuestionName)
	r.Close()
	for _, test := range []struct {
		name    string
		section Section
		rtype   uint16
		want    bool
	}{
		{name: "first of the first section", section: Answer, rtype: dns.TypeA, want: true},
		{name: "in another section", section: Answer, rtype: dns.TypeSOA},
		{name: "first of a later section", section: Authority, rtype: dns.TypeSOA, want: true},
		{name: "last of a later section", section: Authority, rtype: dns.TypeNS, want: true},
		{name: "in an earlier section", section: Authority, rtype: dns.TypeA},
		{name: "empty section", section: Additional, rtype: dns.TypeA},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := r.Has(test.section, test.rtype); got != test.want {
				t.Errorf("Has is %v, want %v", got, test.want)
			}
		})
	}
}
