package wire

import (
	"testing"

	"github.com/miekg/dns"
)

// A handler that puts another question in x's stead keeps a copy of the query meanwhile.
func TestCopyOutlivesParse(t *testing.T) {
	t.Parallel()
	strange := func(name string) []byte { // options that miekg/dns has to look at
		m := new(dns.Msg).SetQuestion(name, dns.TypeA).SetEdns0(1232, false)
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE}}
		return mustPack(t, m)
	}
	plain := func(name string) []byte { return mustPack(t, new(dns.Msg).SetQuestion(name, dns.TypeA)) }
	for _, c := range []struct {
		name          string
		first, second []byte
	}{
		{name: "strange and strange", first: strange("first.example."), second: strange("second.test.")},
		{name: "strange and plain", first: strange("first.example."), second: plain("second.test.")},
		{name: "plain and strange", first: plain("first.example."), second: strange("second.test.")},
	} {
		var q Query
		if err := q.Parse(c.first); err != nil {
			t.Fatal(err)
		}
		saved := q
		if err := q.Parse(c.second); err != nil {
			t.Fatal(err)
		}
		m, err := saved.Msg()
		if err != nil || saved.NameString() != "first.example." || q.NameString() != "second.test." || m.Question[0].Name != "first.example." {
			t.Errorf("%s: the copy asks for %s, the query for %s, the message for %v (%v)", c.name, saved.NameString(), q.NameString(), m, err)
		}
	}
}

func TestFinishWritesTheID(t *testing.T) {
	t.Parallel()
	first, second := askFor(t, "a.", dns.TypeA), askFor(t, "b.", dns.TypeA)
	var r Reply
	r.Start(first, dns.RcodeSuccess)
	if m := finished(t, &r, second, 512); m.Id != second.ID() {
		t.Errorf("ID %d, want %d", m.Id, second.ID())
	}
}

func TestMsgIsACopy(t *testing.T) {
	t.Parallel()
	q := ask(t, new(dns.Msg).SetQuestion("a.", dns.TypeA).SetEdns0(512, false).SetEdns0(600, false))
	for range 2 {
		m, err := q.Msg()
		if err != nil || m.Question[0].Name != "a." || len(m.Extra) != 2 {
			t.Fatalf("%v, %v", m, err)
		}
		m.Question[0].Name, m.Extra = "changed.", nil
	}
}

func TestWithinIsByLabels(t *testing.T) {
	t.Parallel()
	q := askFor(t, "a.notexample.org.", dns.TypeA)
	if left, ok := q.Within(mustName(t, "example.org.")); ok || left != 0 {
		t.Errorf("%d, %v", left, ok)
	}
	if left, ok := q.Within(mustName(t, "x.a.notexample.org.")); ok || left != 0 {
		t.Errorf("%d, %v", left, ok)
	}
}
