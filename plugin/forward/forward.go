package forward

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// totalTime is how long a client waits at most, over all attempts (its own timeout is commonly 5 s: resolv.conf(5)).
const totalTime = 5 * time.Second

// upstreamLabel is the metadata that tells who was asked last: whose reply it is, if there is one.
const upstreamLabel = "forward/upstream"

// forward is one line: which names it takes, and whom it asks.
type forward struct {
	settings
	upstreams  atomic.Pointer[[]*upstream]
	order      policy
	total      time.Duration
	concurrent atomic.Int64
	excess     excess
	sharing    *sharing
	flights    flights
	budget     budget
	metrics    *metrics
	log        *slog.Logger
	suspects   chan<- *upstream
}

// newForward makes a line of its settings. Its upstreams are set apart: see roster.
func newForward(s *settings, log *slog.Logger, m *metrics, suspects chan<- *upstream) *forward {
	f := &forward{settings: *s, order: newPolicy(s.policy), total: totalTime, sharing: newSharing(), metrics: m, log: log, suspects: suspects}
	f.excess = excess{log: log, max: s.maxConcurrent}
	f.budget.tenths.Store(mostSaved)
	f.upstreams.Store(new([]*upstream))
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
	tcp := f.forceTCP || !f.preferUDP && x.Transport == plugin.TCP
	e, first := f.sharing.join(&x.Query, tcp)
	if first {
		return f.lead(ctx, x, e, tcp)
	}
	f.metrics.coalesced.Inc()
	<-e.done // by the deadline of the first
	x.Metadata.Set(upstreamLabel, e.to)
	if e.err != nil {
		return e.err
	}
	return x.Reply.SetPacket(&x.Query, e.packet)
}

// lead asks for x and those who join it.
func (f *forward) lead(ctx context.Context, x *plugin.Exchange, e *shared, tcp bool) error {
	now := time.Now()
	deadline := now.Add(f.total)
	if end, ok := ctx.Deadline(); ok && end.Before(deadline) {
		deadline = end
	}
	var (
		t     = trip{forward: f, query: &x.Query, tcp: tcp, limit: x.Limit(), now: now, deadline: deadline}
		reply *flight
		err   = errGivenUp
	)
	defer func() {
		e.end(reply, t.to, err)
		if reply != nil {
			f.flights.put(reply)
		}
	}()
	reply, err = t.ask(ctx)
	x.Metadata.Set(upstreamLabel, t.to)
	if err != nil {
		err = &failure{cause: err}
		return err
	}
	return x.Reply.SetPacket(&x.Query, reply.packet)
}

// passes tells whether a reply is to be looked for behind the line: the options next and next_on_nodata.
func (f *forward) passes(r *wire.Reply) bool {
	for _, rcode := range f.next {
		if rcode == r.Rcode() {
			return true
		}
	}
	return f.nextOnNodata && r.Rcode() == dns.RcodeSuccess && r.Count(wire.Answer) == 0
}

// Handler is all forward lines of a server block, in their order.
type Handler struct {
	forwards []*forward
	rosters  []*roster
	suspects chan *upstream
	refresh  time.Duration // how often files of name servers are looked at
}

// Name is "forward".
func (h *Handler) Name() string { return "forward" }

// Serve lets the first line that is for the name answer, or one behind it to which that one leaves the answer.
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	for i, f := range h.forwards {
		if !f.takes(x) {
			continue
		}
		if err := f.serve(ctx, x); err != nil || i == len(h.forwards)-1 || !f.passes(&x.Reply) {
			return err
		}
		x.Reply.Reset()
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
