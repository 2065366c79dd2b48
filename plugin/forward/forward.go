package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
)

// totalTime is how long a client waits at most, over all attempts (its own timeout is commonly 5 s: resolv.conf(5)).
const totalTime = 5 * time.Second

// errNoHealthy says that no attempt was made.
var errNoHealthy = errors.New("no healthy upstream")

// forward is one line: which names it takes, and whom it asks.
type forward struct {
	settings
	upstreams  []*upstream
	order      policy
	total      time.Duration
	concurrent atomic.Int64
	excess     excess
	metrics    *metrics
}

func (s *settings) forward(env *plugin.Env, to []string, m *metrics) *forward {
	f := &forward{settings: *s, order: newPolicy(s.policy), total: totalTime, metrics: m}
	f.excess = excess{log: env.Log, max: s.maxConcurrent}
	for _, addr := range to {
		f.upstreams = append(f.upstreams, newUpstream(addr, s, m, env.Log))
	}
	return f
}

// takes tells whether the line is for x. The zone itself is asked for even when it is excepted, as in CoreDNS.
func (f *forward) takes(x *plugin.Exchange) bool {
	_, left, ok := f.from.Match(&x.Query)
	return ok && (left == 0 || !f.except.Contains(&x.Query))
}

// serve answers x by an upstream's reply, or says why there was none.
func (f *forward) serve(ctx context.Context, x *plugin.Exchange) error {
	if f.maxConcurrent > 0 {
		defer f.concurrent.Add(-1)
		if f.concurrent.Add(1) > int64(f.maxConcurrent) {
			f.metrics.rejects.Inc()
			f.excess.report(x.Now)
			x.Reply.Start(&x.Query, dns.RcodeRefused)
			return nil
		}
	}
	if err := x.Block(); err != nil {
		return err
	}
	deadline := time.Now().Add(f.total)
	if end, ok := ctx.Deadline(); ok && end.Before(deadline) {
		deadline = end
	}
	return f.ask(ctx, x, deadline)
}

// ask makes attempts as CoreDNS does: along the policy's order, past those that are down, at most two for each
// upstream. When all are down, the health checks may be what is broken, so one more is asked at random.
func (f *forward) ask(ctx context.Context, x *plugin.Exchange, deadline time.Time) error {
	var (
		last    = errNoHealthy
		list    = f.order(f.upstreams)
		skipped = 0
	)
	for turn, attempts := 0, 0; attempts < 2*len(list) && time.Now().Before(deadline) && ctx.Err() == nil; turn++ {
		if turn%len(list) == 0 {
			skipped = 0
		}
		u := list[turn%len(list)]
		if u.down() {
			if skipped++; skipped < len(list) {
				continue
			}
			f.metrics.broken.Inc()
			u = list[rand.IntN(len(list))]
		}
		err := f.askOne(u, x, deadline)
		if err == nil {
			return nil
		}
		last = err
		u.suspect()
		attempts++
		if skipped == len(list) {
			break
		}
	}
	x.Reply.Reset()
	return last
}

// askOne asks one upstream, by the client's transport unless the options say otherwise.
func (f *forward) askOne(u *upstream, x *plugin.Exchange, deadline time.Time) error {
	tcp := f.forceTCP || !f.preferUDP && x.Transport == plugin.TCP
	err := u.ask(x, tcp, deadline)
	if err == nil && x.Reply.Truncated() && !tcp && f.preferUDP {
		err = u.ask(x, true, deadline)
	}
	return err
}

// Handler is all forward lines of a server block, in their order.
type Handler struct {
	forwards []*forward
}

// Name is "forward".
func (h *Handler) Name() string { return "forward" }

// Serve lets the first line that is for the name answer.
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	for _, f := range h.forwards {
		if f.takes(x) {
			return f.serve(ctx, x)
		}
	}
	return x.Next(ctx)
}

// excess reports queries beyond max_concurrent, at most once a second: whoever has too many queries has no use for as
// many log lines.
type excess struct {
	log  *slog.Logger
	max  int
	next atomic.Int64 // Unix seconds
}

func (e *excess) report(now time.Time) {
	next := e.next.Load()
	if now.Unix() < next || !e.next.CompareAndSwap(next, now.Unix()+1) {
		return
	}
	e.log.Error(fmt.Sprintf("concurrent queries exceeded maximum %d; they are refused", e.max))
}
