package cache

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

const (
	www   = "www.example.org. A"
	first = "NOERROR: www.example.org. 100 A 192.0.2.1"
	later = "NOERROR: www.example.org. 100 A 192.0.2.2"
)

// idle waits until no refresh is under way.
func (b *bed) idle(t testing.TB) {
	t.Helper()
	eventually(t, "no refresh runs", func() bool {
		b.refresher.mu.Lock()
		defer b.refresher.mu.Unlock()
		return b.refresher.running == 0
	})
}

// TestStale: what is given of an item that expired, and what the refresh behind it makes of it.
func TestStale(t *testing.T) {
	t.Parallel()
	denial := "NXDOMAIN: " + soa
	for _, test := range []struct {
		why, option string
		reply       string // at first; it expires after 100 s
		after       time.Duration
		refreshed   string // what upstream says then
		want        string // the reply at that time
		then        string // and once refreshes ended
		asked       int    // questions upstream by then
	}{
		{why: "immediate", option: "serve_stale", refreshed: later, want: "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1", then: "NOERROR qr,rd: www.example.org. 100 A 192.0.2.2", asked: 2},
		{why: "a TTL for stale replies (RFC 8767, section 4)", option: "serve_stale 1h immediate 30s", refreshed: later, want: "NOERROR qr,rd: www.example.org. 30 A 192.0.2.1", then: "NOERROR qr,rd: www.example.org. 100 A 192.0.2.2", asked: 2},
		{why: "keepttl", option: "serve_stale\nkeepttl", refreshed: later, want: "NOERROR qr,rd: www.example.org. 100 A 192.0.2.1", then: "NOERROR qr,rd: www.example.org. 100 A 192.0.2.2", asked: 2},
		{why: "too old", option: "serve_stale 10s", after: 110 * time.Second, refreshed: later, want: "NOERROR qr,rd: www.example.org. 100 A 192.0.2.2", then: "NOERROR qr,rd: www.example.org. 100 A 192.0.2.2", asked: 2},
		{why: "almost too old", option: "serve_stale 10s", after: 109 * time.Second, refreshed: later, want: "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1", then: "NOERROR qr,rd: www.example.org. 100 A 192.0.2.2", asked: 2},
		{why: "off", option: "serve_stale 0", refreshed: later, want: "NOERROR qr,rd: www.example.org. 100 A 192.0.2.2", then: "NOERROR qr,rd: www.example.org. 100 A 192.0.2.2", asked: 2},
		{why: "a failure leaves the item", option: "serve_stale", refreshed: "SERVFAIL:", want: "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1", then: "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1", asked: 3},
		{why: "so does no reply", option: "serve_stale", refreshed: "error timeout", want: "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1", then: "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1", asked: 3},
		{why: "so does a truncated reply", option: "serve_stale", refreshed: "NOERROR tc:", want: "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1", then: "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1", asked: 3},
		{why: "failures are not tried all the time", option: "serve_stale 1h immediate 0 30s", refreshed: "SERVFAIL:", want: "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1", then: "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1", asked: 2},
		{why: "NXDOMAIN is an answer", option: "serve_stale", refreshed: denial, want: "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1", then: "NXDOMAIN qr,rd: " + soa, asked: 2},
		{why: "a stale denial that became an answer", option: "serve_stale", reply: strings.Replace(denial, "300", "100", 1), refreshed: later, want: "NXDOMAIN qr,rd: " + strings.Replace(soa, "300", "0", 1), then: "NOERROR qr,rd: www.example.org. 100 A 192.0.2.2", asked: 2},
		{why: "live data takes the place for good", option: "serve_stale", refreshed: "live " + later, want: "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1", then: "NOERROR qr,rd: www.example.org. 100 A 192.0.2.2", asked: 3},
		{why: "verify", option: "serve_stale 1h verify", refreshed: later, want: "NOERROR qr,rd: www.example.org. 100 A 192.0.2.2", then: "NOERROR qr,rd: www.example.org. 100 A 192.0.2.2", asked: 2},
		{why: "verify, a denial", option: "serve_stale 1h verify", refreshed: denial, want: "NXDOMAIN qr,rd: " + soa, then: "NXDOMAIN qr,rd: " + soa, asked: 2},
		{why: "verify, and then an answer", option: "serve_stale 1h verify", reply: strings.Replace(denial, "300", "100", 1), refreshed: later, want: "NOERROR qr,rd: www.example.org. 100 A 192.0.2.2", then: "NOERROR qr,rd: www.example.org. 100 A 192.0.2.2", asked: 2},
		{why: "verify, a failure", option: "serve_stale 1h verify", refreshed: "SERVFAIL:", want: "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1", then: "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1", asked: 3},
		{why: "verify, no reply", option: "serve_stale 1h verify 0 20s 30s", refreshed: "error timeout", want: "NOERROR qr,rd: www.example.org. 20 A 192.0.2.1", then: "NOERROR qr,rd: www.example.org. 20 A 192.0.2.1", asked: 2},
		{why: "verify, live data", option: "serve_stale 1h verify", refreshed: "live " + later, want: "NOERROR qr,rd: www.example.org. 100 A 192.0.2.2", then: "NOERROR qr,rd: www.example.org. 100 A 192.0.2.2", asked: 3},
		{why: "verify in time", option: "serve_stale 1h verify 5s", refreshed: later, want: "NOERROR qr,rd: www.example.org. 100 A 192.0.2.2", then: "NOERROR qr,rd: www.example.org. 100 A 192.0.2.2", asked: 2},
		{why: "verify in time, a failure", option: "serve_stale 1h verify 5s", refreshed: "SERVFAIL:", want: "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1", then: "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1", asked: 3},
		{why: "prefer_positive: a denial does not count", option: "serve_stale\nserve_stale_policy prefer_positive", refreshed: denial, want: "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1", then: "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1", asked: 3},
		{why: "prefer_positive: nor does what answers nothing", option: "serve_stale\nserve_stale_policy prefer_positive", refreshed: "NOERROR: ns:example.org. 900 NS ns.example.org.", want: "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1", then: "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1", asked: 3},
		{why: "prefer_positive: an answer does", option: "serve_stale\nserve_stale_policy prefer_positive", refreshed: later, want: "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1", then: "NOERROR qr,rd: www.example.org. 100 A 192.0.2.2", asked: 2},
		{why: "prefer_positive and verify", option: "serve_stale 1h verify\nserve_stale_policy prefer_positive", refreshed: denial, want: "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1", then: "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1", asked: 3},
	} {
		t.Run(strings.ReplaceAll(test.why, " ", "_"), func(t *testing.T) {
			t.Parallel()
			b := newBed(t, "cache {\n"+test.option+"\n}").run(t)
			if test.reply == "" {
				test.reply = first
			}
			if test.after == 0 {
				test.after = 105 * time.Second
			}
			b.upstream.set(www, test.reply)
			b.ask(t, www)
			b.pass(test.after)
			b.upstream.set(www, test.refreshed)
			if got := b.ask(t, www); got != test.want {
				t.Errorf("stale\n%s, want\n%s", got, test.want)
			}
			b.idle(t)
			if got := b.ask(t, www); got != test.then {
				t.Errorf("afterwards\n%s, want\n%s", got, test.then)
			}
			b.idle(t)
			if got := b.upstream.count(); got != test.asked {
				t.Errorf("%d questions upstream, want %d: %q", got, test.asked, b.upstream.asked)
			}
		})
	}
}

// TestRecheck: after the time to wait, a refresh is tried again.
func TestRecheck(t *testing.T) {
	t.Parallel()
	b := newBed(t, "cache {\nserve_stale 1h immediate 0 30s\n}").run(t)
	b.upstream.set(www, first)
	b.ask(t, www)
	b.pass(105 * time.Second)
	b.upstream.set(www, "SERVFAIL:")
	for _, step := range []struct {
		after time.Duration
		asked int
	}{{0, 2}, {29 * time.Second, 2}, {time.Second, 3}, {time.Second, 3}} {
		b.pass(step.after)
		b.ask(t, www)
		b.idle(t)
		if got := b.upstream.count(); got != step.asked {
			t.Errorf("%v later: %d questions, want %d", step.after, got, step.asked)
		}
	}
}

// TestVerifyTimeout: the client waits no longer than it has to, the refresh goes on, and is the only one.
func TestVerifyTimeout(t *testing.T) {
	t.Parallel()
	b := newBed(t, "cache {\nserve_stale 1h verify 5ms\n}").run(t)
	b.upstream.set(www, first)
	b.ask(t, www)
	b.pass(105 * time.Second)
	b.upstream.set(www, later)
	b.upstream.mu.Lock()
	hold := make(chan struct{})
	b.upstream.hold = hold
	b.upstream.mu.Unlock()
	for range 3 {
		if got, want := b.ask(t, www), "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	close(hold)
	b.idle(t)
	if got, want := b.ask(t, www), "NOERROR qr,rd: www.example.org. 100 A 192.0.2.2"; got != want || b.upstream.count() != 2 {
		t.Errorf("%s after %d questions, want %s after 2", got, b.upstream.count(), want)
	}
}

// TestPrefetch: what is asked for often is asked anew before it expires, once.
func TestPrefetch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		why, option string
		gaps        []time.Duration // before each query after the first
		asked       int
	}{
		{why: "popular and about to expire", option: "prefetch 3", gaps: []time.Duration{30 * time.Second, 30 * time.Second, 30 * time.Second}, asked: 2},
		{why: "not yet about to expire", option: "prefetch 3", gaps: []time.Duration{30 * time.Second, 30 * time.Second, 29 * time.Second}, asked: 1},
		{why: "not popular", option: "prefetch 4", gaps: []time.Duration{30 * time.Second, 30 * time.Second, 30 * time.Second}, asked: 1},
		{why: "a gap", option: "prefetch 3 20s", gaps: []time.Duration{30 * time.Second, 30 * time.Second, 30 * time.Second}, asked: 1},
		{why: "a percentage", option: "prefetch 1 1m 40%", gaps: []time.Duration{50 * time.Second, 10 * time.Second}, asked: 2},
		{why: "never", option: "prefetch 0", gaps: []time.Duration{99 * time.Second}, asked: 1},
		{why: "goes on being popular", option: "prefetch 2", gaps: []time.Duration{45 * time.Second, 45 * time.Second, 5 * time.Second, 40 * time.Second, 45 * time.Second}, asked: 3},
	} {
		t.Run(strings.ReplaceAll(test.why, " ", "_"), func(t *testing.T) {
			t.Parallel()
			b := newBed(t, "cache {\n"+test.option+"\n}").run(t)
			b.upstream.set(www, first)
			b.ask(t, www)
			for _, gap := range test.gaps {
				b.pass(gap)
				if got := b.ask(t, www); !strings.HasPrefix(got, "NOERROR") {
					t.Error(got)
				}
				b.idle(t)
			}
			if got := b.upstream.count(); got != test.asked {
				t.Errorf("%d questions upstream, want %d: %q", got, test.asked, b.upstream.asked)
			}
			if last := b.upstream.asked[len(b.upstream.asked)-1]; test.asked > 1 && last != "www.example.org. A tcp ad=true" {
				t.Errorf("asked %q, want by TCP, so that nothing is cut, and with AD", last)
			}
		})
	}
}

// TestOneRefresh: however many clients meet a stale item at once, one refresh is under way.
func TestOneRefresh(t *testing.T) {
	t.Parallel()
	b := newBed(t, "cache {\nserve_stale\n}").run(t)
	b.upstream.set(www, first)
	b.ask(t, www)
	b.pass(105 * time.Second)
	b.upstream.mu.Lock()
	hold := make(chan struct{})
	b.upstream.hold = hold
	b.upstream.mu.Unlock()
	var clients sync.WaitGroup
	for range 20 {
		clients.Go(func() {
			for range 10 {
				b.ask(t, www)
			}
		})
	}
	clients.Wait()
	close(hold)
	b.idle(t)
	if got := b.upstream.count(); got != 2 {
		t.Errorf("%d questions upstream, want 2", got)
	}
}

// TestRefresherEnds: without Run nothing runs in the background; Run ends refreshes and waits for them; a panic in one is
// a line in the log.
func TestRefresherEnds(t *testing.T) {
	t.Parallel()
	b := newBed(t, "cache")
	if b.refresher.start(func(context.Context) { t.Error("started") }) {
		t.Error("started before Run")
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	ended := make(chan struct{})
	eventually(t, "a refresh starts", func() bool {
		return b.refresher.start(func(ctx context.Context) { <-ctx.Done(); close(ended) })
	})
	if !b.refresher.start(func(context.Context) { panic("no reason") }) {
		t.Error("not started")
	}
	eventually(t, "the panic is logged", func() bool { return strings.Contains(b.log.String(), "recovered from a panic") })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
	default:
		t.Error("Run ended before its refresh")
	}
	if b.refresher.start(func(context.Context) { t.Error("started") }) {
		t.Error("started after Run")
	}
}

// TestRefreshesAreBounded: beyond the bound the item is given as it is, and may be refreshed later.
func TestRefreshesAreBounded(t *testing.T) {
	t.Parallel()
	b := newBed(t, "cache {\nserve_stale\n}").run(t)
	b.upstream.set(www, first)
	b.ask(t, www)
	b.pass(105 * time.Second)
	b.upstream.set(www, later)
	release := make(chan struct{})
	for range mostRefreshes {
		if !b.refresher.start(func(context.Context) { <-release }) {
			t.Fatal("not started")
		}
	}
	if got, want := b.ask(t, www), "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1"; got != want || b.upstream.count() != 1 {
		t.Errorf("%s after %d questions, want %s after 1", got, b.upstream.count(), want)
	}
	close(release)
	b.idle(t)
	b.ask(t, www)
	b.idle(t)
	if got, want := b.ask(t, www), "NOERROR qr,rd: www.example.org. 100 A 192.0.2.2"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestConcurrency: readers, writers, refreshes and evictions at once, under the race detector; nobody gets the reply to
// another question.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	b := newBed(t, "cache {\nsuccess 1\ndenial 1\nserve_stale\nprefetch 1 1m 90%\n}").run(t)
	end := block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error {
		x.Reply.Start(&x.Query, dns.RcodeSuccess)
		name := x.Query.Name()
		x.Reply.Address(12, []byte{10, name[1], name[2], name[3]}, 5)
		return nil
	})
	var clients sync.WaitGroup
	for client := range 8 {
		clients.Go(func() {
			for n := range 2000 {
				name := string([]byte{'a' + byte(n%26), 'a' + byte(n/26%26), 'a' + byte(client%3)})
				x := b.exchange(t, name+".example.org. A")
				if err := block.Serve(x, b, end); err != nil {
					t.Error(err)
					return
				}
				m := block.Answer(t, x)
				if a, ok := m.Answer[0].(*dns.A); !ok || string(a.A.To4()[1:]) != name {
					t.Errorf("%s: %v", name, m)
				}
				if n%500 == 0 {
					b.pass(3 * time.Second)
				}
			}
		})
	}
	clients.Wait()
	b.idle(t)
}
