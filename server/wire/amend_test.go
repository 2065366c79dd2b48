package wire

import (
	"bytes"
	"testing"

	"github.com/miekg/dns"
)

// amendable are queries that Parse reads itself, and one that it leaves to miekg/dns for its option.
func amendable(t *testing.T) map[string]*Query {
	t.Helper()
	plain := new(dns.Msg).SetQuestion("a.b.", dns.TypeA).SetEdns0(4096, true)
	plain.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_NSID{Code: dns.EDNS0NSID}}
	strange := new(dns.Msg).SetQuestion("a.b.", dns.TypeA).SetEdns0(4096, true)
	strange.IsEdns0().Option = []dns.EDNS0{
		&dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: []byte{10, 1, 2, 0}},
		&dns.EDNS0_NSID{Code: dns.EDNS0NSID},
	}
	return map[string]*Query{"plain": ask(t, plain), "strange": ask(t, strange)}
}

func TestQuerySetFlags(t *testing.T) {
	t.Parallel()
	for name, q := range amendable(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q.SetFlags(AA|RA, RD|AA)
			m := new(dns.Msg)
			if err := m.Unpack(q.Packet()); err != nil {
				t.Fatal(err)
			}
			for what, m := range map[string]*dns.Msg{"packet": m, "message": unpacked(t, q)} {
				if !m.Authoritative || !m.RecursionAvailable || m.RecursionDesired {
					t.Errorf("%s has %v, want aa and ra", what, m.MsgHdr)
				}
			}
			if q.RD() {
				t.Error("RD is still set")
			}
		})
	}
}

func unpacked(t *testing.T, q *Query) *dns.Msg {
	t.Helper()
	m, err := q.Msg()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// RFC 6891, section 6.1.2: the size stands in the class of the OPT record.
func TestQuerySetSize(t *testing.T) {
	t.Parallel()
	for name, q := range amendable(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q.SetSize(1232)
			m := new(dns.Msg)
			if err := m.Unpack(q.Packet()); err != nil {
				t.Fatal(err)
			}
			for what, m := range map[string]*dns.Msg{"packet": m, "message": unpacked(t, q)} {
				if opt := m.IsEdns0(); opt.UDPSize() != 1232 || !opt.Do() || opt.Option[len(opt.Option)-1].Option() != dns.EDNS0NSID {
					t.Errorf("%s has %v", what, opt)
				}
			}
			if q.MaxReply() != 1232 {
				t.Errorf("MaxReply is %d", q.MaxReply())
			}
		})
	}
	without := ask(t, new(dns.Msg).SetQuestion("a.b.", dns.TypeA))
	before := bytes.Clone(without.Packet())
	without.SetSize(1232)
	if !bytes.Equal(before, without.Packet()) || without.MaxReply() != dns.MinMsgSize {
		t.Error("a query without EDNS was changed")
	}
}

func TestEDNSOption(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		options []byte
		want    []byte
		ok      bool
	}{
		{name: "none"},
		{name: "another", options: []byte{0, 10, 0, 1, 9}},
		{name: "alone and empty", options: []byte{0, 3, 0, 0}, want: []byte{}, ok: true},
		{name: "behind another", options: []byte{0, 10, 0, 1, 9, 0, 3, 0, 2, 'a', 'b'}, want: []byte("ab"), ok: true},
		{name: "cut", options: []byte{0, 3, 0, 2, 'a'}},
		{name: "cut before its length", options: []byte{0, 10, 0, 0, 0, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, ok := (&EDNS{Options: c.options}).Option(dns.EDNS0NSID)
			if ok != c.ok || !bytes.Equal(got, c.want) {
				t.Errorf("%q, %v; want %q, %v", got, ok, c.want, c.ok)
			}
		})
	}
}

func TestReplySetOption(t *testing.T) {
	t.Parallel()
	q := ask(t, new(dns.Msg).SetQuestion("a.b.", dns.TypeA).SetEdns0(1232, false))
	var r Reply
	r.Start(q, dns.RcodeSuccess)
	r.AddOption(dns.EDNS0NSID, []byte("theirs"))
	r.AddOption(dns.EDNS0EDE, []byte{0, 3})
	r.AddOption(dns.EDNS0NSID, []byte("again"))
	r.SetOption(dns.EDNS0NSID, []byte("ours"))
	if want := "\x00\x0f\x00\x02\x00\x03\x00\x03\x00\x04ours"; string(r.options) != want {
		t.Errorf("options %q, want %q", r.options, want)
	}
}

func TestReplySetFlags(t *testing.T) {
	t.Parallel()
	q := ask(t, new(dns.Msg).SetQuestion("a.b.", dns.TypeA))
	var r Reply
	r.Start(q, dns.RcodeSuccess)
	r.SetFlags(AA|RA, RD)
	if got := r.Flags(); got != "qr,aa,ra" {
		t.Errorf("flags %s", got)
	}
}

func TestReplyOnlyAnswers(t *testing.T) {
	t.Parallel()
	q := ask(t, new(dns.Msg).SetQuestion("a.b.", dns.TypeA).SetEdns0(1232, false))
	m := new(dns.Msg).SetReply(new(dns.Msg).SetQuestion("a.b.", dns.TypeA))
	m.Answer = []dns.RR{mustRR(t, "a.b. 5 IN CNAME c.d."), mustRR(t, "c.d. 5 IN A 1.2.3.4")}
	m.Ns = []dns.RR{mustRR(t, "d. 5 IN NS n.d.")}
	m.Extra = []dns.RR{mustRR(t, "n.d. 5 IN A 4.3.2.1")}
	var r Reply
	if err := r.SetMsg(q, m); err != nil {
		t.Fatal(err)
	}
	r.AddOption(dns.EDNS0EDE, []byte{0, 3})
	r.OnlyAnswers()
	r.OnlyAnswers() // nothing is left to drop
	got := finished(t, &r, q, 512)
	if len(got.Answer) != 2 || got.Answer[1].String() != m.Answer[1].String() || len(got.Ns) != 0 ||
		len(got.Extra) != 1 || len(got.IsEdns0().Option) != 0 {
		t.Errorf("%v", got)
	}
}

// FuzzEDNSOption: whatever the options are, what is found is what miekg/dns finds, and setting one leaves one.
func FuzzEDNSOption(f *testing.F) {
	f.Add([]byte{0, 10, 0, 1, 9, 0, 3, 0, 2, 'a', 'b'}, uint16(3))
	f.Add([]byte{0, 3, 0, 9, 'a'}, uint16(3))
	f.Add([]byte{0, 3, 0}, uint16(10))
	f.Fuzz(func(t *testing.T, options []byte, code uint16) {
		data, ok := (&EDNS{Options: options}).Option(code)
		record := append([]byte{0, 0, 41, 0, 0, 0, 0, 0, 0, byte(len(options) >> 8), byte(len(options))}, options...)
		rr, _, err := dns.UnpackRR(record, 0)
		if opt, isOPT := rr.(*dns.OPT); err == nil && isOPT && len(options) <= dns.MaxMsgSize {
			found := false
			for _, o := range opt.Option {
				found = found || o.Option() == code
			}
			if found != ok {
				t.Errorf("found %v, miekg/dns says %v: %x", ok, found, options)
			}
		}
		if len(data) > len(options) {
			t.Errorf("%d bytes of data in %d", len(data), len(options))
		}
		r := Reply{options: options}
		r.SetOption(code, []byte("new"))
		if data, ok := (&EDNS{Options: r.options}).Option(code); err == nil && (!ok || string(data) != "new") {
			t.Errorf("option is %q, %v after it was set: %x", data, ok, r.options)
		}
	})
}
