package vip

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin/vip/plan"
)

const (
	// A pass is followed by a pause of pauseFactor times what it took, within these bounds: what changes meanwhile goes
	// into the next one. The first change after a quiet time is forwarded at once.
	pauseFactor = 5
	minPause    = 10 * time.Millisecond
	maxPause    = time.Second

	minBackoff = time.Second
	maxBackoff = 30 * time.Second

	lookEvery  = 20 * time.Millisecond // whether the store is synced
	checkEvery = 10 * time.Second      // whether what was made is still there
	fullEvery  = time.Hour             // everything anew, whatever the checks say
)

// order is what one Corefile wants of the loop.
type order struct {
	policy  *plan.Policy
	store   *cluster.Store
	writer  *cluster.Writer
	server  netip.Addr // of the API server; not valid when it is not known by an address
	metrics *metrics
	log     *slog.Logger
	now     func() time.Time
}

// loop makes what the store says so, one change after the other. It is one goroutine: what it calls is called one at a time.
//
// Others read of it only what is guarded or does not change: mode, plane, queue, ledger, health, leaving.
type loop struct {
	order
	mode      string
	plane     Plane
	orders    *inbox
	pending   *order // taken once its store is synced; nil for none
	queue     *queue
	unwatch   func()
	state     *plan.State // nil before the store was synced
	ledger    *ledger
	health    *health
	balancers *balancers
	leaving   atomic.Bool   // the node is to get no new clients
	warned    bool          // of the API server's address
	broken    chan struct{} // holds one when the plane's Run ended

	given    *plan.Policy // to the plane, with what follows from the node; nil before the first time
	current  bool         // the plane has all of state
	failures int          // in a row
	retryAt  time.Time
	hurryAt  time.Time // no try before, even if something changes
	passAt   time.Time // no pass before
	checkAt  time.Time
	fullAt   time.Time
}

func newLoop(mode string, plane Plane, first order) *loop {
	l := &loop{
		order: first, mode: mode, plane: plane, orders: newInbox(), pending: &first, queue: newQueue(first.now),
		unwatch: func() {}, ledger: newLedger(), health: new(health), broken: make(chan struct{}, 1),
	}
	l.balancers = newBalancers(l.healthy)
	return l
}

// run is the loop, until ctx ends.
func (l *loop) run(ctx context.Context) {
	defer l.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case next := <-l.orders.box:
			l.pending = &next
		case <-l.broken:
			l.current = false
		case <-l.queue.wake:
		case <-timer.C:
		}
		timer.Reset(l.step(ctx))
	}
}

func (l *loop) close() {
	l.unwatch()
	l.balancers.close()
}

// attend runs what the plane does beside the loop, again and again when it fails.
func (l *loop) attend(ctx context.Context, log *slog.Logger) {
	for {
		err := l.plane.Run(ctx)
		if ctx.Err() != nil || err == nil {
			return
		}
		log.Error("a part of forwarding stopped; it is begun anew", "error", err)
		select {
		case l.broken <- struct{}{}:
		default:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(minBackoff):
		}
	}
}

// step does the first thing that is due, and returns the time until the next one is. An order whose store is not synced
// waits, while what was ordered before is tended.
func (l *loop) step(ctx context.Context) time.Duration {
	if l.pending != nil && listed(l.pending.store) {
		l.obey(l.pending)
		l.pending = nil
	}
	if l.state == nil {
		return lookEvery
	}
	now := l.now()
	switch {
	case !l.current && !now.Before(l.due()):
		l.adopt(ctx)
	case !l.current:
	case !now.Before(l.fullAt):
		l.adopt(ctx)
	case l.queue.waits() && !now.Before(l.passAt):
		l.pass(ctx)
	case !now.Before(l.checkAt):
		l.check(ctx)
	}
	next := l.next(l.now())
	if l.pending != nil {
		next = min(next, lookEvery)
	}
	return next
}

// next is the time until something is due.
func (l *loop) next(now time.Time) time.Duration {
	if !l.current {
		return max(0, l.due().Sub(now))
	}
	due := []time.Time{l.fullAt, l.checkAt}
	if l.queue.waits() {
		due = append(due, l.passAt)
	}
	return max(0, slices.MinFunc(due, time.Time.Compare).Sub(now))
}

// due is when all is to be tried again. What changes meanwhile does not wait for the backoff: it may be about another family
// of addresses than the one that fails.
func (l *loop) due() time.Time {
	if l.queue.waits() && l.hurryAt.Before(l.retryAt) {
		return l.hurryAt
	}
	return l.retryAt
}

// obey takes an order whose store is synced. What both orders agree on is not touched.
func (l *loop) obey(o *order) {
	same := l.state != nil && o.store == l.store
	done := same && l.current && reflect.DeepEqual(o.policy, l.policy)
	l.order = *o
	if done {
		return
	}
	if same {
		l.state.SetPolicy(o.policy)
	} else {
		l.unwatch()
		l.unwatch = o.writer.Watch(l.queue.observe)
		l.state = newState(o.policy, o.store)
	}
	l.queue.owe()
	l.current, l.retryAt = false, time.Time{}
}

// plan takes in what changed, and returns the services that became something else by that.
func (l *loop) plan() []*plan.Service {
	latest := map[string]*plan.Service{}
	note := func(changed []*plan.Service) {
		for _, s := range changed {
			latest[fullName(s)] = s
		}
	}
	services := l.queue.take()
	node := l.store.Node()
	l.leaving.Store(node != nil && node.Leaving)
	note(l.state.SetNode(node))
	for _, svc := range services {
		note(l.state.Put(svc))
	}
	changed := make([]*plan.Service, 0, len(latest))
	for _, s := range latest {
		changed = append(changed, s)
	}
	return changed
}

// pass forwards what changed.
func (l *loop) pass(ctx context.Context) {
	changed := l.plan()
	if !reflect.DeepEqual(l.given, l.state.Policy()) { // the node has got another address
		l.adopt(ctx)
		return
	}
	began := l.now()
	var err error
	if len(changed) > 0 {
		err = l.plane.Apply(ctx, changed)
	}
	took := l.now().Sub(began)
	l.passAt = l.now().Add(pauseAfter(took))
	if err != nil {
		l.fail(ctx, "forwarding what changed", err, took)
		return
	}
	l.ledger.enter(changed)
	l.succeed(changed, took, false)
}

func pauseAfter(pass time.Duration) time.Duration {
	return min(max(pauseFactor*pass, minPause), maxPause)
}

// adopt makes the whole state so.
func (l *loop) adopt(ctx context.Context) {
	l.plan()
	policy, all := l.state.Policy(), l.state.All()
	began := l.now()
	if err := l.plane.Adopt(ctx, policy, all); err != nil {
		l.fail(ctx, "forwarding", err, l.now().Sub(began))
		return
	}
	l.given = policy
	l.ledger.replace(all)
	l.succeed(all, l.now().Sub(began), true)
	l.checkAt, l.fullAt = l.now().Add(checkEvery), l.now().Add(fullEvery)
}

// check looks whether somebody else removed what was made.
func (l *loop) check(ctx context.Context) {
	l.checkAt = l.now().Add(checkEvery)
	if err := l.plane.Check(ctx); err != nil && ctx.Err() == nil {
		l.metrics.repairs.Inc()
		l.log.Warn("something that was forwarded is gone; it is made again", "missing", err)
		l.current, l.retryAt = false, time.Time{}
	}
}

func (l *loop) succeed(made []*plan.Service, took time.Duration, full bool) {
	if last, err := l.health.state(); last.IsZero() || err != nil {
		sum := l.ledger.totals()
		what := "all is forwarded"
		if l.mode == modePlan {
			what = "all is planned, and nothing forwarded"
		}
		l.log.Info(what, "mode", l.mode, "services", sum.services, "frontends", sum.all(), "refused", sum.refused, "took", took.Round(time.Microsecond))
	}
	l.current, l.failures = true, 0
	l.health.succeed(l.now())
	l.metrics.observe(l.queue.done(), l.now(), took, full)
	l.tell(made)
	if err := l.balancers.answer(hosts(l.given), l.ledger.healthChecks()); err != nil {
		l.log.Error("load balancers cannot ask for the health of a service", "error", err)
	}
}

// tell logs what cannot be forwarded, once each, and what is a trap.
func (l *loop) tell(made []*plan.Service) {
	for _, s := range made {
		name := fullName(s)
		for _, r := range l.ledger.news(s) {
			l.log.Warn("a part of a service is not forwarded", "service", name, "what", r.What, "why", r.Why)
		}
		for i := range s.Frontends {
			if f := &s.Frontends[i]; l.server.IsValid() && f.Key.Addr == l.server && !l.warned {
				l.warned = true
				l.log.Warn("the API server is reached by a virtual IP that this process forwards: after a restart of the node nobody would reach it; "+
					"give vip the server's own address, by kubeconfig or endpoint", "service", name, "address", l.server)
			}
		}
	}
}

// fail keeps what is, and tries all of it again after a while.
func (l *loop) fail(ctx context.Context, what string, err error, took time.Duration) {
	if ctx.Err() != nil {
		return
	}
	now := l.now()
	early := now.Before(l.retryAt)
	if !early {
		l.retryAt = now.Add(min(minBackoff<<min(l.failures, 10), maxBackoff))
		l.failures++
	}
	l.hurryAt = now.Add(min(max(minBackoff, pauseFactor*took), maxBackoff))
	l.current = false
	l.metrics.failures.Inc()
	err = fmt.Errorf("%s: %w", what, err)
	if _, before := l.health.state(); !early || before == nil || before.Error() != err.Error() {
		l.log.Error("a pass failed; what was forwarded before stays", "error", err, "again_in", l.retryAt.Sub(now))
	}
	l.health.fail(err)
}
