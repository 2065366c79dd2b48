// Package cache is the directive that keeps replies and gives them again until their TTL has passed.
//
// A reply is kept as the packet that it was. A hit copies the packet, writes the client's question over the one in it and
// the seconds that are left into each record: nothing is unpacked, packed or allocated. What is kept, and for how
// long, is CoreDNS's to the second, so that a client cannot tell the two apart; so is that every record of a reply that
// comes through here gets one TTL, kept or not.
//
// Answers that are read from live data (plugin.Exchange.Live: cluster names) pass through and are never kept: the cluster's
// store is the cache, and a new service is visible at once.
package cache

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
)

// Cache answers from its store, and keeps there what the rest of the chain answers.
type Cache struct {
	settings
	store     *store
	meters    *meters
	refresher *refresher
	now       func() time.Time
	env       *plugin.Env // for what is known at the start only
}

// Name is "cache".
func (c *Cache) Name() string { return "cache" }

// Start lets the metrics show the store, under the name of the block's view.
func (c *Cache) Start(context.Context) error {
	view := ""
	for _, b := range c.env.Instance.Blocks() {
		if slices.Contains(b.Handlers, plugin.Handler(c)) {
			view = b.View
		}
	}
	c.meters.open(view)
	c.meters.attach(c.store)
	return nil
}

// Run lets refreshes run until ctx ends, and waits for them.
func (c *Cache) Run(ctx context.Context) error { return c.refresher.run(ctx) }

// Close takes the store out of the metrics.
func (c *Cache) Close() error {
	c.meters.detach(c.store)
	return nil
}

// Serve answers from the store, or asks on. Only queries are kept: a NOTIFY may have the same question.
func (c *Cache) Serve(ctx context.Context, x *plugin.Exchange) error {
	if x.Query.Opcode() != dns.OpcodeQuery || !c.zones.Contains(&x.Query) {
		return x.Next(ctx)
	}
	k := c.store.key(&x.Query)
	i := c.choose(c.store.find(k, &x.Query), x.Now)
	if i == nil {
		return c.miss(ctx, x, k)
	}
	counts := c.meters.of(x)
	counts.inc(hitsOf(i.class))
	i.visit()
	left := i.left(x.Now)
	switch {
	case left > 0:
		c.prefetchIfPopular(x, k, i, left)
	case c.verify:
		if c.confirm(ctx, x, k, i) {
			return nil
		}
	default:
		c.refreshStale(x, k, i)
	}
	if left <= 0 {
		counts.inc(staleServed)
	}
	if i.wildcard != "" {
		x.Metadata.Set(wildcardLabel, i.wildcard)
	}
	x.Reply.SetImage(&x.Query, i.image, c.shownTTL(i, left))
	if code, ok := i.extendedError(left); ok && x.Query.EDNS.Present {
		x.Reply.AddOption(dns.EDNS0EDE, []byte{0, code})
	}
	return nil
}

// shownTTL is the TTL of a reply from the store.
func (c *Cache) shownTTL(i *item, left int) uint32 {
	switch {
	case left <= 0 && c.staleTTL > 0:
		return uint32(c.staleTTL / time.Second)
	case c.keepTTL:
		return uint32(i.ttl)
	}
	return uint32(max(0, left))
}

// choose is the item to answer with; nil for none. A denial counts before an answer, since it came later, but a failure
// does not hide an answer that holds still.
func (c *Cache) choose(found [classes]*item, now time.Time) *item {
	yes, no := found[positive], found[negative]
	if c.preferPositive && c.stale > 0 {
		if good := yes.goodAnswer(); good != nil && c.holds(good, now) {
			return good
		}
	}
	if yes != nil && !c.holds(yes, now) {
		yes = nil
	}
	if no == nil || !c.holds(no, now) || yes != nil && no.image.Rcode() == dns.RcodeServerFailure {
		return yes
	}
	return no
}

// holds tells whether an item may be given, be it stale.
func (c *Cache) holds(i *item, now time.Time) bool {
	left := i.left(now)
	return left > 0 || c.stale > 0 && -left < int(c.stale/time.Second)
}

// next asks the rest of the chain. Its answer is for others as well, so that whoever is asked shall say whether it was
// validated (RFC 6840, section 5.7).
func next(ctx context.Context, x *plugin.Exchange) error {
	ad := x.Query.AD()
	x.Query.SetAD(true)
	err := x.Next(ctx)
	x.Query.SetAD(ad)
	return err
}

func (c *Cache) miss(ctx context.Context, x *plugin.Exchange, k key) error {
	err := next(ctx, x)
	if x.Live {
		c.meters.of(x).inc(live)
	} else {
		c.meters.of(x).inc(misses)
	}
	switch {
	case err != nil:
		c.keepFailure(ctx, x, k, err)
	case x.Reply.Made():
		c.settle(x, k, judge(x))
	}
	return err
}

// keepFailure keeps that there was no reply, which the client gets to see as SERVFAIL, for as long as an upstream's
// SERVFAIL: those who ask again would wait again. A client that went away and our own overload say nothing of the name.
func (c *Cache) keepFailure(ctx context.Context, x *plugin.Exchange, k key, err error) {
	if x.Live || c.servfail <= 0 || ctx.Err() != nil || errors.Is(err, plugin.ErrOverload) || errors.Is(err, plugin.ErrNoHandler) {
		return
	}
	x.Reply.Start(&x.Query, dns.RcodeServerFailure)
	c.settle(x, k, judge(x))
	x.Reply.Reset()
}

// settle gives the reply in x the TTL that it would have from the store, and keeps it where the rules allow.
func (c *Cache) settle(x *plugin.Exchange, k key, v verdict) {
	if v.kind == transfer {
		return // its TTLs are another server's data
	}
	duration := c.duration(&v)
	if !x.Live || v.ttl > 0 { // else the operator wrote "ttl 0"
		x.Reply.SetTTL(uint32(duration / time.Second))
	}
	switch {
	case x.Live:
	case duration <= 0 || !v.keeps():
	case !x.Reply.Answers(&x.Query):
		c.meters.of(x).inc(drops)
	default:
		c.keep(x, k, v, int(duration/time.Second))
	}
	x.Reply.HideAD(&x.Query)
}

func (c *Cache) keep(x *plugin.Exchange, k key, v verdict, ttl int) {
	i := &item{key: k, answers: v.answers, ttl: ttl}
	i.wildcard, _ = x.Metadata.Value(wildcardLabel)
	if v.denies() {
		i.class = negative
	}
	if c.disabled[i.class].Contains(&x.Query) {
		return
	}
	if i.image = x.Reply.Image(&x.Query); i.image == nil {
		return // too large for a message
	}
	if c.preferPositive && i.class == positive && !i.answers {
		i.good = c.store.find(k, &x.Query)[positive].goodAnswer()
	}
	i.stored = c.now()
	counts := c.meters.of(x)
	for class, n := range c.store.put(i, &x.Query) {
		counts.add(evictionsOf(class), n)
	}
	if i.class == positive && (i.answers || !c.preferPositive) {
		c.store.remove(k, &x.Query, negative) // this is what came later
	}
}

// shortTTL is the TTL of a reply that has no record to take one from, or none that means anything.
const shortTTL = 5 * time.Second

// duration is how long a reply holds.
func (c *Cache) duration(v *verdict) time.Duration {
	switch v.kind {
	case nameError, noData:
		return c.limits[negative].apply(v)
	case failure:
		return c.servfail
	}
	return c.limits[positive].apply(v)
}

// limits bound the TTLs of a class.
type limits struct {
	capacity int // entries
	min, max time.Duration
}

// apply is the lowest TTL of a reply's records, within the limits.
func (l limits) apply(v *verdict) time.Duration {
	ttl := shortTTL
	if (v.kind == success || v.kind == nameError || v.kind == noData) && v.records > 0 {
		ttl = time.Duration(v.ttl) * time.Second
	}
	return min(max(ttl, l.min), l.max)
}
