package forward

import (
	"errors"
	"hash/maphash"
	"os"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

// TestIdenticalQuestionsShare: however many ask the same at a time, the upstream is asked once, and each has its own
// ID and spelling in the reply.
func TestIdenticalQuestionsShare(t *testing.T) {
	t.Parallel()
	const clients = 50
	arrived, proceed := make(chan bool, clients), make(chan bool)
	s := newServer(t, func(q *query) {
		arrived <- true
		go func() {
			<-proceed
			q.answer()
		}()
	})
	h, env, _ := built(t, ". "+s.addr)
	var tasks sync.WaitGroup
	for i := range clients {
		tasks.Go(func() {
			name := []string{"www.example.org.", "WWW.example.ORG.", "wWw.Example.org."}[i%3]
			query := new(dns.Msg).SetQuestion(name, dns.TypeA)
			query.Id = uint16(i)
			m, err := send(t, h, block.FromMsg(t, query))
			if err != nil || m.Id != uint16(i) || m.Question[0].Name != name || len(m.Answer) != 1 {
				t.Errorf("%v, %v", m, err)
			}
		})
	}
	<-arrived
	eventually(t, "the others wait for the first", func() bool {
		return value(t, env, "nameplane_forward_coalesced_total", map[string]string{}) == clients-1
	})
	close(proceed)
	tasks.Wait()
	if n := s.count("udp"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if n := len(h.forwards[0].sharing.open); n != 0 {
		t.Errorf("%d exchanges are left", n)
	}
	mustAsk(t, h, "www.example.org.")
	if n := s.count("udp"); n != 2 {
		t.Error("a question that came later was not asked: nothing is to be kept")
	}
}

// TestDifferentQuestionsDoNotShare: what changes an answer, or the room for it, is part of the question.
func TestDifferentQuestionsDoNotShare(t *testing.T) {
	t.Parallel()
	base := func() *dns.Msg { return new(dns.Msg).SetQuestion("www.example.org.", dns.TypeA).SetEdns0(1232, false) }
	option := func(o dns.EDNS0) func(m *dns.Msg) {
		return func(m *dns.Msg) { m.IsEdns0().Option = append(m.IsEdns0().Option, o) }
	}
	cases := []struct {
		name   string
		change func(m *dns.Msg)
		tcp    bool
	}{
		{name: "as it is", change: func(*dns.Msg) {}},
		{name: "name", change: func(m *dns.Msg) { m.Question[0].Name = "vww.example.org." }},
		{name: "type", change: func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA }},
		{name: "class", change: func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }},
		{name: "CD", change: func(m *dns.Msg) { m.CheckingDisabled = true }},
		{name: "AD", change: func(m *dns.Msg) { m.AuthenticatedData = true }},
		{name: "no RD", change: func(m *dns.Msg) { m.RecursionDesired = false }},
		{name: "opcode", change: func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }},
		{name: "DO", change: func(m *dns.Msg) { m.IsEdns0().SetDo() }},
		{name: "size", change: func(m *dns.Msg) { m.IsEdns0().SetUDPSize(4096) }},
		{name: "no EDNS", change: func(m *dns.Msg) { m.Extra = nil }},
		{name: "client subnet", change: option(&dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: []byte{192, 0, 2, 0}})},
		{name: "another client subnet", change: option(&dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: []byte{198, 51, 100, 0}})},
		{name: "an option of one's own", change: option(&dns.EDNS0_LOCAL{Code: 65001, Data: []byte("pod-7")})},
		{name: "by TCP", change: func(*dns.Msg) {}, tcp: true},
	}
	held := make(chan *query, len(cases))
	s := newServer(t, func(q *query) { held <- q })
	h, _, _ := built(t, ". "+s.addr)
	var tasks sync.WaitGroup
	for _, c := range cases {
		tasks.Go(func() {
			m := base()
			c.change(m)
			x := block.FromMsg(t, m)
			if c.tcp {
				x.Transport = plugin.TCP
			}
			if _, err := send(t, h, x); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		})
	}
	for range cases { // all are under way at once
		defer (<-held).answer()
	}
	t.Cleanup(tasks.Wait)
}

func TestFailureIsShared(t *testing.T) {
	t.Parallel()
	arrived := make(chan bool, 1)
	s := newServer(t, func(*query) {
		select {
		case arrived <- true:
		default:
		}
	})
	h, _, _ := built(t, ". "+s.addr, "read_timeout 300ms", "max_connect_attempts 1")
	var tasks sync.WaitGroup
	for i := range 5 {
		if i == 1 {
			<-arrived
		}
		tasks.Go(func() {
			if _, err := ask(t, h, "www.example.org."); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("error %v", err)
			}
		})
	}
	tasks.Wait()
	if n := s.count("udp"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// A panic on the way must not leave others waiting.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	s := newSharing()
	x := block.NewExchange(t, "www.example.org.", dns.TypeA)
	first, leads := s.join(&x.Query, false)
	second, follows := s.join(&x.Query, false)
	if !leads || follows || first != second {
		t.Fatal("the second did not join the first")
	}
	first.end(nil, "", errGivenUp)
	<-second.done
	if second.err != errGivenUp || len(s.open) != 0 {
		t.Errorf("error %v, %d left", second.err, len(s.open))
	}
}

// Two questions of one hash are two.
func TestSameHash(t *testing.T) {
	t.Parallel()
	s := newSharing()
	x, y := block.NewExchange(t, "www.example.org.", dns.TypeA), block.NewExchange(t, "mail.example.org.", dns.TypeA)
	first, _ := s.join(&x.Query, false)
	s.open[maphash.Bytes(s.seed, appendKey(nil, &y.Query, false))] = first // as if
	second, leads := s.join(&y.Query, false)
	if !leads || first == second {
		t.Fatal("another question's exchange is shared")
	}
	second.end(nil, "", errGivenUp)
	if len(s.open) != 2 {
		t.Error("the end of one took the other off the list")
	}
}
