package forward

import (
	"testing"
	"time"

	"github.com/miekg/dns"
)

// slow is a handler of two upstreams, of which the first in the order of the policy does what script says; the estimate of
// its round trip is short.
func slow(t *testing.T, script func(q *query), options ...string) (h *Handler, first, second *server, hedged func() float64) {
	first, second = newServer(t, script), marked(t, "second")
	h, env, _ := built(t, ". "+first.addr+" "+second.addr, append(options, "policy round_robin", "read_timeout 2s")...)
	turnTo(h, 0)
	only(h).rtt.observe(time.Millisecond)
	return h, first, second, func() float64 {
		return value(t, env, "nameplane_forward_hedged_total", map[string]string{"to": first.addr})
	}
}

// turnTo makes an upstream the first for the next query.
func turnTo(h *Handler, i int) {
	h.forwards[0].order = func(all []*upstream) []*upstream { return []*upstream{all[i], all[1-i]} }
}

// TestHedge: when an upstream takes longer than it uses to, another is asked as well, and the first good reply counts.
func TestHedge(t *testing.T) {
	t.Parallel()
	h, first, second, hedged := slow(t, silent)
	start := time.Now()
	if got := by(mustAsk(t, h, "www.example.org.")); got != "second" {
		t.Errorf("answered by %s", got)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %v: the first one's timeout was waited for", took)
	}
	if first.count("udp") != 1 || second.count("udp") != 1 || hedged() != 1 {
		t.Errorf("asked %d and %d times, %v hedged", first.count("udp"), second.count("udp"), hedged())
	}
	if !only(h).doubtful() {
		t.Error("nobody looks after the slow upstream")
	}
	if only(h).udp.links[0].load.Load() != 0 {
		t.Error("the slow exchange is still under way")
	}
	if got := by(mustAsk(t, h, "again.example.org.")); got != "second" || first.count("udp") != 1 {
		t.Errorf("answered by %s: the slow one was asked first again", got)
	}
}

// What is answered in time is asked of one upstream.
func TestNoHedge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		script  func(q *query)
		change  func(h *Handler)
		options []string
	}{
		{name: "in time", script: answerAll, change: func(h *Handler) { only(h).rtt = rtt{}; only(h).rtt.observe(200 * time.Millisecond) }},
		{name: "no reply yet known", script: answerAll, change: func(h *Handler) { only(h).rtt = rtt{} }},
		{name: "one attempt", script: silent, options: []string{"max_connect_attempts 1"}},
		{name: "sequential", script: silent, change: func(h *Handler) { h.forwards[0].policy = "sequential"; h.forwards[0].maxAttempts = 1 }},
		{name: "the other is down", script: silent, change: func(h *Handler) { (*h.forwards[0].upstreams.Load())[1].fails.Store(9); h.forwards[0].maxAttempts = 1 }},
		{name: "no budget", script: silent, change: func(h *Handler) {
			h.forwards[0].budget.tenths.Store(0)
			h.forwards[0].maxAttempts = 2
			h.forwards[0].total = 300 * time.Millisecond
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h, _, second, hedged := slow(t, c.script, append(c.options, "max_fails 2")...)
			only(h).readTimeout = 300 * time.Millisecond
			if c.change != nil {
				c.change(h)
			}
			_, _ = ask(t, h, "www.example.org.") // some end without an answer, which is as it should be
			if second.count("udp") != 0 || hedged() != 0 {
				t.Errorf("the second upstream was asked %d times, %v hedged", second.count("udp"), hedged())
			}
		})
	}
}

// An error of the one that was asked as well says little: the slow one may know better.
func TestHedgeWaitsForAGoodReply(t *testing.T) {
	t.Parallel()
	refused := make(chan bool)
	h, _, second, _ := slow(t, func(q *query) {
		go func() {
			<-refused
			q.answer()
		}()
	})
	second.behave(func(q *query) {
		q.send(packed(q.reply(dns.RcodeServerFailure)))
		close(refused)
	})
	if m := mustAsk(t, h, "www.example.org."); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 {
		t.Errorf("%v", m)
	}
}

// When neither is good, a reply is better than none, and the first one's better than the other's.
func TestHedgeBothBad(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		first func(q *query)
		want  int
	}{
		{name: "silence", first: silent, want: dns.RcodeServerFailure},
		{name: "refusal, later", first: func(q *query) {
			time.AfterFunc(100*time.Millisecond, func() { q.send(packed(q.reply(dns.RcodeRefused))) })
		}, want: dns.RcodeRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h, _, second, _ := slow(t, c.first)
			only(h).readTimeout = 500 * time.Millisecond
			second.behave(func(q *query) { q.send(packed(q.reply(dns.RcodeServerFailure))) })
			if m := mustAsk(t, h, "www.example.org."); m.Rcode != c.want {
				t.Errorf("%v", m)
			}
		})
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	var b budget
	spent := 0
	for range 1000 {
		b.earn()
		if b.spend() {
			spent++
		}
	}
	if spent != 100 {
		t.Errorf("%d of 1000 queries were hedged, want one in ten", spent)
	}
	for range 1000 {
		b.earn()
	}
	if got := b.tenths.Load(); got != mostSaved {
		t.Errorf("%d saved", got)
	}
}

func TestPatience(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		took []time.Duration
		want [2]time.Duration // at least, at most
	}{
		{name: "nothing known", want: [2]time.Duration{mostPatience, mostPatience}},
		{name: "fast", took: []time.Duration{time.Millisecond}, want: [2]time.Duration{leastPatience, leastPatience}},
		{name: "steady", took: repeat(50*time.Millisecond, 100), want: [2]time.Duration{50 * time.Millisecond, 60 * time.Millisecond}},
		{name: "unsteady", took: append(repeat(20*time.Millisecond, 20), 200*time.Millisecond), want: [2]time.Duration{200 * time.Millisecond, 240 * time.Millisecond}},
		{name: "very slow", took: repeat(3*time.Second, 5), want: [2]time.Duration{mostPatience, mostPatience}},
		{name: "no time at all", took: repeat(0, 5), want: [2]time.Duration{leastPatience, leastPatience}},
	} {
		var r rtt
		for _, took := range c.took {
			r.observe(took)
		}
		if got := r.patience(leastPatience, mostPatience); got < c.want[0] || got > c.want[1] {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func repeat(d time.Duration, n int) []time.Duration {
	list := make([]time.Duration, n)
	for i := range list {
		list[i] = d
	}
	return list
}
