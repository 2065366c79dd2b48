package wire

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// randomMsg is a reply of up to max records of many types, whose names share suffixes.
func randomMsg(t testing.TB, random *rand.Rand, query *dns.Msg, max int) *dns.Msg {
	t.Helper()
	name := func() string {
		labels := []string{"a", "bb", "ccc", "svc", "default", "example", "cluster", "local", "Local", "x-y-z"}
		text := ""
		for range 1 + random.IntN(5) {
			text += labels[random.IntN(len(labels))] + "."
		}
		return text
	}
	record := func() dns.RR {
		owner := name()
		if random.IntN(2) == 0 {
			owner = query.Question[0].Name
		}
		forms := []string{
			"%s 5 IN A 10.1.2.3", "%s 5 IN AAAA fd00::1", "%s 5 IN CNAME " + name(), "%s 5 IN PTR " + name(), "%s 5 IN NS " + name(),
			"%s 5 IN MX 10 " + name(), "%s 5 IN SRV 0 1 80 " + name(), "%s 5 IN TXT \"some text\" \"more\"",
			"%s 5 IN SOA " + name() + " " + name() + " 1 2 3 4 5", "%s 5 CH TXT \"chaos\"", "%s 5 IN TYPE65280 \\# 3 010203",
		}
		return mustRR(t, fmt.Sprintf(forms[random.IntN(len(forms))], owner))
	}
	m := new(dns.Msg).SetReply(query)
	m.Authoritative, m.RecursionAvailable = random.IntN(2) == 0, random.IntN(2) == 0
	m.Rcode = random.IntN(6)
	for range random.IntN(max) {
		switch random.IntN(4) {
		case 0:
			m.Ns = append(m.Ns, record())
		case 1:
			m.Extra = append(m.Extra, record())
		default:
			m.Answer = append(m.Answer, record())
		}
	}
	return m
}

// TestTruncateDropsWhatMiekgDrops is a property of random messages (RFC 2181, section 9).
func TestTruncateDropsWhatMiekgDrops(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	truncated := 0
	for range 3000 {
		query := new(dns.Msg).SetQuestion("name.default.svc.cluster.local.", dns.TypeANY)
		limit := 512 + random.IntN(3584)
		if random.IntN(2) == 0 {
			query.SetEdns0(uint16(limit), random.IntN(2) == 0)
		}
		q := ask(t, query)
		m := randomMsg(t, random, query, 120)
		var r Reply
		if err := r.SetMsg(q, m); err != nil {
			t.Fatal(err)
		}
		want := m.Copy()
		if opt := query.IsEdns0(); opt != nil {
			want.Extra = append(want.Extra, opt)
		}
		want.Truncate(limit)
		want.Compress = true
		packet := r.Finish(q, limit)
		if len(packet) > limit {
			t.Fatalf("%d bytes, limit %d", len(packet), limit)
		}
		got := new(dns.Msg)
		if err := got.Unpack(packet); err != nil {
			t.Fatalf("%v: %v", m, err)
		}
		if diff := cmp.Diff(want.String(), got.String()); diff != "" {
			t.Fatalf("limit %d: -want +got\n%s", limit, diff)
		}
		if got.Truncated {
			truncated++
		}
	}
	if truncated < 300 || truncated > 2700 {
		t.Errorf("%d of 3000 replies were truncated: the sizes are no test", truncated)
	}
}

// TestTruncateAppended is the same of replies that were appended record by record.
func TestTruncateAppended(t *testing.T) {
	t.Parallel()
	for _, edns := range []uint16{0, 512, 1232, 4096} {
		for records := range 300 {
			query := new(dns.Msg).SetQuestion("a.headless.service.svc.cluster.local.", dns.TypeA)
			if edns > 0 {
				query.SetEdns0(edns, false)
			}
			q := ask(t, query)
			want := new(dns.Msg).SetReply(query)
			var r Reply
			r.Start(q, dns.RcodeSuccess)
			for i := range records {
				if i == records*3/4 {
					r.Section(Additional)
				}
				addr := []byte{10, 0, byte(i >> 8), byte(i)}
				r.Address(QuestionName, addr, 5)
				rr := &dns.A{Hdr: dns.RR_Header{Name: query.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 5}, A: addr}
				if i >= records*3/4 {
					want.Extra = append(want.Extra, rr)
				} else {
					want.Answer = append(want.Answer, rr)
				}
			}
			if opt := query.IsEdns0(); opt != nil {
				want.Extra = append(want.Extra, opt)
			}
			want.Truncate(q.MaxReply())
			if diff := cmp.Diff(want.String(), finished(t, &r, q, q.MaxReply()).String()); diff != "" {
				t.Fatalf("%d records, EDNS %d: -want +got\n%s", records, edns, diff)
			}
		}
	}
}

func TestMoreThan64KiBAreTruncatedOverTCP(t *testing.T) {
	t.Parallel()
	q := ask(t, new(dns.Msg).SetQuestion("a.headless.svc.cluster.local.", dns.TypeAAAA).SetEdns0(1232, false))
	var r Reply
	r.Start(q, dns.RcodeSuccess)
	for i := range 3000 {
		r.Address(QuestionName, append(make([]byte, 14), byte(i>>8), byte(i)), 5)
	}
	packet := r.Finish(q, dns.MaxMsgSize)
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		t.Fatal(err)
	}
	room := dns.MaxMsgSize - headerSize - len(q.Name()) - 4 - optSize
	if want := room / 28; len(m.Answer) != want || !m.Truncated || m.IsEdns0() == nil {
		t.Fatalf("%d records, TC %v, OPT %v; want %d", len(m.Answer), m.Truncated, m.IsEdns0(), want)
	}
}

// Options that leave no room for the question itself are left out: a reply must fit.
func TestOptionsThatDoNotFit(t *testing.T) {
	t.Parallel()
	q := ask(t, new(dns.Msg).SetQuestion("a.", dns.TypeA).SetEdns0(512, false))
	var r Reply
	r.Start(q, dns.RcodeRefused)
	r.AddOption(dns.EDNS0EDE, make([]byte, 600))
	packet := r.Finish(q, q.MaxReply())
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil || len(packet) > 512 || m.IsEdns0() == nil || len(m.IsEdns0().Option) != 0 {
		t.Fatalf("%d bytes: %v %v", len(packet), m, err)
	}
}

func TestSetMsgAndMsg(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 8))
	for range 500 {
		query := new(dns.Msg).SetQuestion("name.default.svc.cluster.local.", dns.TypeANY)
		q := ask(t, query)
		m := randomMsg(t, random, query, 40)
		before := m.String()
		var r Reply
		if err := r.SetMsg(q, m); err != nil {
			t.Fatal(err)
		}
		if m.String() != before {
			t.Fatalf("SetMsg changed the message:\n%s", cmp.Diff(before, m.String()))
		}
		got, err := r.Msg()
		if err != nil {
			t.Fatal(err)
		}
		got.Compress = m.Compress
		if diff := cmp.Diff(m.String(), got.String()); diff != "" {
			t.Fatalf("-set +read\n%s", diff)
		}
		if r.Count(Answer) != len(m.Answer) || r.Count(Authority) != len(m.Ns) || r.Count(Additional) != len(m.Extra) || !r.Made() {
			t.Fatalf("counts differ from %v", m)
		}
	}
}

func TestSetMsgTakesIDAndOptions(t *testing.T) {
	t.Parallel()
	query := new(dns.Msg).SetQuestion("a.", dns.TypeA).SetEdns0(1400, true)
	q := ask(t, query)
	m := new(dns.Msg).SetReply(query)
	m.Id++
	m.Response = false
	m.Rcode = dns.RcodeBadCookie
	m.SetEdns0(9999, false)
	m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: 15, ExtraText: "blocked"}}
	m.Extra = append(m.Extra, mustRR(t, "a. 5 IN A 1.2.3.4"))
	var r Reply
	if err := r.SetMsg(q, m); err != nil {
		t.Fatal(err)
	}
	if r.Rcode() != dns.RcodeBadCookie {
		t.Errorf("rcode %d", r.Rcode())
	}
	got := finished(t, &r, q, q.MaxReply())
	opt := got.IsEdns0()
	if got.Id != q.ID() || !got.Response || got.Rcode != dns.RcodeBadCookie || opt.UDPSize() != 1400 || !opt.Do() || len(opt.Option) != 1 {
		t.Errorf("%v", got)
	}
	if len(got.Extra) != 2 {
		t.Errorf("additional section %v", got.Extra)
	}
}

func TestSetMsgOutOfTheOrdinary(t *testing.T) {
	t.Parallel()
	q := askFor(t, "a.", dns.TypeA)
	cases := []struct {
		name      string
		change    func(m *dns.Msg)
		wantError bool
		questions int
	}{
		{name: "no question", change: func(m *dns.Msg) { m.Question = nil }},
		{name: "two questions", change: func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, questions: 1},
		{name: "two OPT records", change: func(m *dns.Msg) { m.SetEdns0(512, false).SetEdns0(600, false) }, questions: 1},
		{name: "bad name", change: func(m *dns.Msg) { m.Answer[0].Header().Name = "a..b." }, wantError: true},
		{name: "bad rcode", change: func(m *dns.Msg) { m.Rcode = -1 }, wantError: true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := new(dns.Msg).SetQuestion("a.", dns.TypeA)
			m.Answer = []dns.RR{mustRR(t, "a. 5 IN A 1.2.3.4")}
			c.change(m)
			var r Reply
			err := r.SetMsg(q, m)
			if (err != nil) != c.wantError {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				return
			}
			got := finished(t, &r, q, 512)
			if len(got.Question) != c.questions || len(got.Answer) != 1 || len(got.Extra) != 0 {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestSetMsgReusesTheBuffer(t *testing.T) {
	t.Parallel()
	q := askFor(t, "a.b.", dns.TypeA)
	m := new(dns.Msg).SetReply(new(dns.Msg).SetQuestion("a.b.", dns.TypeA))
	m.Answer = []dns.RR{mustRR(t, "a.b. 5 IN A 1.2.3.4")}
	var r Reply
	r.Start(q, 0)
	for range 100 {
		r.Address(QuestionName, make([]byte, 16), 9)
	}
	if err := r.SetMsg(q, m); err != nil {
		t.Fatal(err)
	}
	got := finished(t, &r, q, 512)
	if want := []string{"a.b.\t5\tIN\tA\t1.2.3.4"}; !slices.Equal(texts(got.Answer), want) {
		t.Fatalf("%v", got)
	}
}
