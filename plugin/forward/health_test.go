package forward

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// running runs h until the test ends.
func running(t *testing.T, h *Handler) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var task sync.WaitGroup
	task.Go(func() {
		if err := h.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		task.Wait()
	})
}

func TestNoHealthCheckWithoutAnError(t *testing.T) {
	t.Parallel()
	s := newServer(t, answerAll)
	h, _, _ := built(t, ". "+s.addr, "health_check 1ms")
	running(t, h)
	for range 20 {
		mustAsk(t, h, "www.example.org.")
	}
	for _, q := range s.questions() {
		if !strings.Contains(q, "www.example.org.") {
			t.Errorf("%s was asked", q)
		}
	}
}

func TestDownAndUpAgain(t *testing.T) {
	t.Parallel()
	bad, good := newServer(t, silent), marked(t, "good")
	h, env, log := built(t, ". "+bad.addr+" "+good.addr, "policy sequential", "read_timeout 250ms", "max_fails 2", "health_check 10ms")
	u := only(h)
	u.check.patience = 100 * time.Millisecond
	running(t, h)
	mustAsk(t, h, "www.example.org.")
	eventually(t, "the silent upstream is down", u.down)
	asked := bad.count("udp")
	for range 5 {
		mustAsk(t, h, "down.example.org.")
	}
	for _, q := range bad.questions() {
		if strings.Contains(q, "down.example.org.") {
			t.Error("the upstream is asked although it is down")
		}
	}
	if asked == 0 || value(t, env, "coredns_forward_healthcheck_failures_total", map[string]string{"to": bad.addr}) < 3 ||
		value(t, env, "coredns_proxy_healthcheck_failures_total", map[string]string{"proxy_name": "forward", "to": bad.addr}) < 3 {
		t.Error("failed health checks are not counted")
	}
	bad.behave(func(q *query) { q.send(packed(q.reply(dns.RcodeRefused))) })
	eventually(t, "the upstream is up again", func() bool { return u.fails.Load() == 0 })
	if m := mustAsk(t, h, "up.example.org."); m.Rcode != dns.RcodeRefused {
		t.Errorf("%v: the first upstream is not asked", m)
	}
	eventually(t, "both changes are logged", func() bool {
		return strings.Count(log.String(), "upstream "+bad.addr+" is down") == 1 && strings.Count(log.String(), "upstream "+bad.addr+" is up again") == 1
	})
}

func TestHealthCheckQuestion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		options []string
		want    string
		proto   string
		rd      bool
	}{
		{name: "as it is", want: ".", proto: "udp", rd: true},
		{name: "no_rec", options: []string{"health_check 10ms no_rec"}, want: ".", proto: "udp"},
		{name: "domain", options: []string{"health_check 10ms domain Example.org"}, want: "example.org.", proto: "udp", rd: true},
		{name: "both", options: []string{"health_check 10ms no_rec domain example.org"}, want: "example.org.", proto: "udp"},
		{name: "force_tcp", options: []string{"force_tcp"}, want: ".", proto: "tcp", rd: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := make(chan *query, 100)
			s := newServer(t, func(q *query) {
				if q.msg().Question[0].Qtype == dns.TypeNS {
					got <- q
					q.answer()
				}
			})
			h, _, _ := built(t, ". "+s.addr, append(c.options, "read_timeout 20ms")...)
			running(t, h)
			if _, err := ask(t, h, "www.example.org."); err == nil {
				t.Fatal("no error")
			}
			select {
			case q := <-got:
				m := q.msg()
				if m.Question[0].Name != c.want || m.RecursionDesired != c.rd || q.proto != c.proto {
					t.Errorf("by %s: %v", q.proto, m)
				}
			case <-time.After(5 * time.Second):
				t.Fatal("no health check")
			}
		})
	}
}

// When all are down, the health checks may be what is broken.
func TestAllDown(t *testing.T) {
	t.Parallel()
	one, two := marked(t, "1"), marked(t, "2")
	h, env, _ := built(t, ". "+one.addr+" "+two.addr)
	for _, u := range *h.forwards[0].upstreams.Load() {
		u.fails.Store(3)
	}
	seen := map[string]bool{}
	for range 40 {
		seen[by(mustAsk(t, h, "www.example.org."))] = true
	}
	if !seen["1"] || !seen["2"] {
		t.Errorf("answered by %v, want both", seen)
	}
	if got := value(t, env, "coredns_forward_healthcheck_broken_total", map[string]string{}); got != 40 {
		t.Errorf("counted %v times, want 40", got)
	}
	one.behave(silent)
	two.behave(silent)
	h.forwards[0].total = 50 * time.Millisecond
	if _, err := ask(t, h, "www.example.org."); err == nil {
		t.Error("no error")
	}
}

func TestMaxFailsZero(t *testing.T) {
	t.Parallel()
	s := newServer(t, silent)
	h, _, _ := built(t, ". "+s.addr, "max_fails 0", "read_timeout 10ms", "health_check 1ms")
	running(t, h)
	for range 5 {
		if _, err := ask(t, h, "www.example.org."); err == nil {
			t.Fatal("no error")
		}
	}
	u := only(h)
	if u.down() || u.doubtful() || s.count("udp") != 10 {
		t.Errorf("down %v, %d queries", u.down(), s.count("udp"))
	}
}
