package forward

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

// marked is an upstream whose answers carry its number.
func marked(t *testing.T, number string) *server {
	return newServer(t, func(q *query) {
		q.send(packed(q.reply(dns.RcodeSuccess, q.msg().Question[0].Name+" 30 IN TXT "+number)))
	})
}

// by is the number of the upstream that answered.
func by(m *dns.Msg) string {
	if len(m.Answer) == 1 {
		if txt, ok := m.Answer[0].(*dns.TXT); ok {
			return txt.Txt[0]
		}
	}
	return dns.RcodeToString[m.Rcode]
}

func TestWhichLine(t *testing.T) {
	t.Parallel()
	one, two := marked(t, "1"), marked(t, "2")
	env := block.NewEnv(new(block.Buffer))
	text := `.:53 {
		forward example.org ` + one.addr + ` {
			except internal.Example.org a.example.org
			except b.example.org
		}
		forward sub.example.org ` + two.addr + `
		forward 10.1.0.0/15 ` + two.addr + ` {
			except 10.1.2.0/24
		}
		forward only.test ` + one.addr + ` {
			except test
		}
	}`
	h, err := Spec().Build(env, block.Lines(t, text, "forward"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		want string
	}{
		{name: "example.org.", want: "1"},
		{name: "EXAMPLE.org.", want: "1"},
		{name: "www.example.org.", want: "1"},
		{name: "x.sub.example.org.", want: "1"}, // the first that fits, as in CoreDNS: lines stand in their order
		{name: "internal.example.org.", want: "REFUSED"},
		{name: "x.internal.example.org.", want: "REFUSED"},
		{name: "b.example.org.", want: "REFUSED"},
		{name: "notexample.org.", want: "REFUSED"},
		{name: "org.", want: "REFUSED"},
		{name: "4.3.1.10.in-addr.arpa.", want: "2"},
		{name: "4.3.0.10.in-addr.arpa.", want: "2"},
		{name: "4.3.2.10.in-addr.arpa.", want: "REFUSED"},
		{name: "4.2.1.10.in-addr.arpa.", want: "REFUSED"},
		{name: "only.test.", want: "1"}, // FROM itself is never excepted
		{name: "x.only.test.", want: "REFUSED"},
	} {
		m := mustAsk(t, h.(*Handler), c.name)
		if got := by(m); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if !env.Listen.AnyClass {
		t.Error("queries of other classes are not let in")
	}
}

func TestOtherClass(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(q *query) { q.send(packed(q.reply(dns.RcodeSuccess, `version.bind. 0 CH TXT "x"`))) })
	h, _, _ := built(t, ". "+s.addr)
	query := new(dns.Msg).SetQuestion("version.bind.", dns.TypeTXT)
	query.Question[0].Qclass = dns.ClassCHAOS
	m, err := send(t, h, block.FromMsg(t, query))
	if err != nil || len(m.Answer) != 1 || m.Answer[0].Header().Class != dns.ClassCHAOS {
		t.Fatalf("%v, %v", m, err)
	}
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	servers := []*server{marked(t, "1"), marked(t, "2"), marked(t, "3")}
	to := ""
	for _, s := range servers {
		to += " " + s.addr
	}
	for _, c := range []struct {
		policy string
		want   string // of 9 queries; empty where it is left to chance
	}{
		{policy: "sequential", want: "111111111"},
		{policy: "round_robin", want: "231231231"},
		{policy: "random"},
	} {
		h, _, _ := built(t, "."+to, "policy "+c.policy)
		var order strings.Builder
		for range 9 {
			order.WriteString(by(mustAsk(t, h, "www.example.org.")))
		}
		if c.want != "" && order.String() != c.want {
			t.Errorf("%s: %s, want %s", c.policy, &order, c.want)
		}
	}
}

func TestPolicyOrders(t *testing.T) {
	t.Parallel()
	all := []*upstream{{to: "1"}, {to: "2"}, {to: "3"}}
	orders := func(p policy, n int) map[string]int {
		seen := map[string]int{}
		for range n {
			order := ""
			for _, u := range p(all) {
				order += u.to
			}
			seen[order]++
		}
		return seen
	}
	if got := orders(newPolicy("sequential"), 10); len(got) != 1 || got["123"] != 10 {
		t.Errorf("sequential: %v", got)
	}
	if got := orders(newPolicy("round_robin"), 9); got["123"] != 3 || got["213"] != 3 || got["312"] != 3 {
		t.Errorf("round_robin: %v", got)
	}
	got := orders(newPolicy("random"), 1200)
	if len(got) != 6 {
		t.Errorf("random: %v", got)
	}
	for order, n := range got { // 200 expected each
		if n < 120 || n > 280 {
			t.Errorf("random: %s came %d times of 1200", order, n)
		}
	}
	if all[0].to+all[1].to+all[2].to != "123" {
		t.Error("a policy changed the list")
	}
}

func TestNextUpstream(t *testing.T) {
	t.Parallel()
	good := marked(t, "good")
	for name, bad := range map[string]string{
		"refuses the connection": deadAddress(t),
		"is silent":              newServer(t, silent).addr,
		"sends garbage":          newServer(t, func(q *query) { q.send([]byte("garbage that is no message")) }).addr,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, _, _ := built(t, ". "+bad+" "+good.addr, "policy sequential", "read_timeout 250ms")
			if got := by(mustAsk(t, h, "www.example.org.")); got != "good" {
				t.Errorf("answered by %s", got)
			}
		})
	}
}

// Error codes are replies: they go back as they are.
func TestErrorCodesComeBack(t *testing.T) {
	t.Parallel()
	for _, rcode := range []int{dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeNotImplemented, dns.RcodeFormatError, dns.RcodeNameError} {
		s := newServer(t, func(q *query) { q.send(packed(q.reply(rcode))) })
		h, _, _ := built(t, ". "+s.addr)
		if m := mustAsk(t, h, "www.example.org."); m.Rcode != rcode || s.count("udp") != 1 {
			t.Errorf("rcode %d comes back as %d, asked %d times", rcode, m.Rcode, s.count("udp"))
		}
	}
}

func TestMaxConcurrent(t *testing.T) {
	t.Parallel()
	arrived, proceed := make(chan bool), make(chan bool)
	s := newServer(t, func(q *query) {
		arrived <- true
		<-proceed
		q.answer()
	})
	h, env, log := built(t, ". "+s.addr, "max_concurrent 1")
	var first sync.WaitGroup
	first.Go(func() {
		if m, err := ask(t, h, "first.example.org."); err != nil || m.Rcode != dns.RcodeSuccess {
			t.Errorf("%v, %v", m, err)
		}
	})
	<-arrived
	for range 3 {
		x := block.NewExchange(t, "second.example.org.", dns.TypeA)
		x.Now = time.Unix(1000, 0)
		if m, err := send(t, h, x); err != nil || m.Rcode != dns.RcodeRefused {
			t.Errorf("%v, %v; want REFUSED", m, err)
		}
	}
	if got := strings.Count(log.String(), "[ERROR] concurrent queries exceeded maximum 1"); got != 1 {
		t.Errorf("%d lines within a second, want 1:\n%s", got, log)
	}
	if got := value(t, env, "coredns_forward_max_concurrent_rejects_total", map[string]string{}); got != 3 {
		t.Errorf("%v rejects counted, want 3", got)
	}
	proceed <- true
	first.Wait()
	go func() { <-arrived; proceed <- true }()
	if m := mustAsk(t, h, "third.example.org."); m.Rcode != dns.RcodeSuccess {
		t.Errorf("%v: the first one's place is still taken", m)
	}
}

// host refuses to let queries wait.
type host struct {
	plugin.Host
	yields atomic.Int32
	err    error
}

func (h *host) Yield(*plugin.Exchange) error {
	h.yields.Add(1)
	return h.err
}

func TestBlock(t *testing.T) {
	t.Parallel()
	for _, want := range []error{nil, plugin.ErrOverload} {
		s := newServer(t, answerAll)
		h, _, _ := built(t, ". "+s.addr)
		x := block.NewExchange(t, "www.example.org.", dns.TypeA)
		server := &host{err: want}
		x.Begin(server, []plugin.Handler{h})
		if err := x.Next(t.Context()); !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
		if n := server.yields.Load(); n != 1 {
			t.Errorf("Block called %d times", n)
		}
		if asked := s.count("udp") > 0; asked != (want == nil) {
			t.Errorf("after %v, the upstream was asked: %v", want, asked)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(q *query) { go q.answer() })
	h, _, _ := built(t, ". "+s.addr, "expire 1ns")
	var clients sync.WaitGroup
	for worker := range 8 {
		clients.Go(func() {
			for n := range 100 {
				name := strings.Repeat("x", worker+1) + strings.Repeat("y", n%20) + ".example.org."
				x := block.NewExchange(t, name, dns.TypeA)
				x.Transport = plugin.Transport(n % 2)
				m, err := send(t, h, x)
				if err != nil || m.Question[0].Name != name || m.Answer[0].Header().Name != name {
					t.Errorf("%s: %v, %v", name, m, err)
					return
				}
			}
		})
	}
	clients.Wait()
}

// TestMissCost is of all that a query costs beside its system calls.
func TestMissCost(t *testing.T) {
	h, _, _ := built(t, ". "+echo(t))
	x := block.NewExchange(t, "www.example.org.", dns.TypeA)
	chain := []plugin.Handler{h}
	run := func() {
		x.Begin(nil, chain)
		if err := x.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		run()
	}
	if n := testing.AllocsPerRun(2000, run); n > 20 { // the upstream's own and those of new sockets are counted as well
		t.Errorf("%v allocations a query, want at most 20", n)
	}
}

func BenchmarkMiss(b *testing.B) {
	for _, transport := range []plugin.Transport{plugin.UDP, plugin.TCP} {
		b.Run(transport.String(), func(b *testing.B) {
			h, _, _ := built(b, ". "+echo(b))
			x := block.NewExchange(b, "www.example.org.", dns.TypeA)
			x.Transport = transport
			chain := []plugin.Handler{h}
			b.ReportAllocs()
			for b.Loop() {
				x.Begin(nil, chain)
				if err := x.Next(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// echo is an upstream that answers with one address and does next to nothing.
func echo(b testing.TB) string {
	s := newServer(b, silent)
	var q wire.Query
	var r wire.Reply
	var mu sync.Mutex
	s.behave(func(in *query) {
		mu.Lock()
		defer mu.Unlock()
		if q.Parse(in.packet) == nil {
			r.Start(&q, dns.RcodeSuccess)
			r.Address(wire.QuestionName, []byte{192, 0, 2, 1}, 30)
			in.send(r.Finish(&q, 512))
		}
	})
	return s.addr
}
