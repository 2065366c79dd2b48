package cache

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

const (
	// mostRefreshes bounds the refreshes of a cache under way. Beyond it a reply is given as it is, and the next query
	// for it tries again.
	mostRefreshes = 256
	// patience is how long a refresh may take: longer than forward waits.
	patience = 10 * time.Second
)

// prefetchIfPopular asks anew, in the background, for what is about to expire and is asked for often.
func (c *Cache) prefetchIfPopular(x *plugin.Exchange, k key, i *item, left int) {
	if c.prefetch <= 0 {
		return
	}
	hits := i.count(x.Now, c.gap)
	threshold := int(math.Ceil(float64(c.percentage) / 100 * float64(i.ttl)))
	if hits < int64(c.prefetch) || left > threshold {
		return
	}
	c.refresh(x, i, 0, func(ctx context.Context, d *plugin.Exchange) bool {
		if next(ctx, d) != nil || !d.Reply.Made() {
			return false
		}
		c.settle(d, k, judge(d))
		c.inherit(d, k, i)
		return true
	})
}

// refreshStale asks anew, in the background, for what has expired.
func (c *Cache) refreshStale(x *plugin.Exchange, k key, i *item) {
	c.refresh(x, i, c.recheck, func(ctx context.Context, d *plugin.Exchange) bool {
		renewed := c.renew(ctx, d, k)
		if renewed {
			c.inherit(d, k, i)
		}
		return renewed
	})
}

// inherit lets what was stored count on where its predecessor was.
func (c *Cache) inherit(d *plugin.Exchange, k key, old *item) {
	if c.prefetch <= 0 {
		return
	}
	found := c.store.find(k, &d.Query)
	for _, i := range [...]*item{found[negative], found[positive]} {
		if i != nil {
			i.seen.Store(d.Now.UnixNano())
			i.hits.Store(old.hits.Load())
			return
		}
	}
}

// refresh runs ask in the background, once at a time for an item, with an exchange for the rest of the chain.
func (c *Cache) refresh(x *plugin.Exchange, i *item, recheck time.Duration, ask func(context.Context, *plugin.Exchange) bool) {
	if !i.beginRefresh(x.Now, recheck) {
		return
	}
	counts := c.meters.of(x)
	d, err := x.Detach()
	started := err == nil && c.refresher.start(func(ctx context.Context) {
		refreshed := false
		defer func() { i.endRefresh(c.now(), recheck, refreshed) }()
		counts.inc(prefetches)
		refreshed = ask(ctx, d)
	})
	if !started {
		i.endRefresh(x.Now, 0, false)
	}
}

// renew asks the rest of the chain for x's question. It is true when the reply may take the place of a stale one
// (RFC 8767, section 4: NOERROR or NXDOMAIN); then it is stored, and x has it.
func (c *Cache) renew(ctx context.Context, x *plugin.Exchange, k key) bool {
	if next(ctx, x) != nil || !x.Reply.Made() {
		return false
	}
	v := judge(x)
	switch {
	case x.Live: // what was learnt elsewhere has lost its meaning
		c.store.remove(k, &x.Query, positive)
		c.store.remove(k, &x.Query, negative)
		c.settle(x, k, v)
		return true
	case v.cut || !x.Reply.Answers(&x.Query):
		return false
	case c.preferPositive:
		c.settle(x, k, v)
		return v.kind == success && v.answers
	case v.kind == other || v.kind == transfer || x.Reply.Rcode() != dns.RcodeSuccess && x.Reply.Rcode() != dns.RcodeNameError:
		return false
	}
	c.settle(x, k, v)
	return true
}

// confirm asks anew for what has expired while the client waits. It is false when the stale reply is to be given after
// all.
func (c *Cache) confirm(ctx context.Context, x *plugin.Exchange, k key, i *item) (served bool) {
	tracked := c.recheck > 0 || c.timeout > 0
	if tracked && !i.beginRefresh(x.Now, c.recheck) {
		return false
	}
	if c.timeout > 0 {
		return c.confirmWithin(x, k, i)
	}
	served = c.renew(ctx, x, k)
	if tracked {
		i.endRefresh(c.now(), c.recheck, served)
	}
	x.Live = x.Live && served
	return served
}

// confirmWithin waits for the timeout only; the refresh goes on without the client.
func (c *Cache) confirmWithin(x *plugin.Exchange, k key, i *item) bool {
	type result struct {
		image *wire.Image
		ttl   uint32
	}
	done := make(chan result, 1)
	d, err := x.Detach()
	if err == nil {
		err = x.Block()
	}
	started := err == nil && c.refresher.start(func(ctx context.Context) {
		refreshed := false
		var fresh result
		defer func() {
			i.endRefresh(c.now(), c.recheck, refreshed)
			done <- fresh
		}()
		if refreshed = c.renew(ctx, d, k); refreshed {
			fresh.image = d.Reply.Image(&d.Query)
			if d.Reply.Records() > 0 {
				fresh.ttl = d.Reply.Record(0).TTL
			}
		}
	})
	if !started {
		i.endRefresh(x.Now, 0, false)
		return false
	}
	timer := time.NewTimer(c.timeout)
	defer timer.Stop()
	select {
	case fresh := <-done:
		if fresh.image == nil {
			return false
		}
		x.Reply.SetImage(&x.Query, fresh.image, fresh.ttl)
		return true
	case <-timer.C:
		return false
	}
}

// refresher runs what refreshes items in the background, between the start and the end of run.
type refresher struct {
	log     *slog.Logger
	mu      sync.Mutex
	ctx     context.Context // guarded by mu; nil unless run is under way
	running int             // guarded by mu
	tasks   sync.WaitGroup
}

// run lets refreshes start until ctx ends, and returns when the last has ended.
func (r *refresher) run(ctx context.Context) error {
	r.set(ctx)
	<-ctx.Done()
	r.set(nil)
	r.tasks.Wait()
	return nil
}

func (r *refresher) set(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ctx = ctx
}

// start runs task, or is false when too many run already.
func (r *refresher) start(task func(ctx context.Context)) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx == nil || r.running == mostRefreshes {
		return false
	}
	r.running++
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	r.tasks.Go(func() {
		defer cancel()
		defer r.end()
		task(ctx)
	})
	return true
}

// end frees a place. A panic is one refresh that failed, not the end of the process.
func (r *refresher) end() {
	if cause := recover(); cause != nil {
		r.log.Error("recovered from a panic in a refresh", "panic", cause)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running--
}
