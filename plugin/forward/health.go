package forward

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/server/wire"
)

const (
	// leastInterval keeps "health_check 0s" from asking without a pause.
	leastInterval = 10 * time.Millisecond
	// mostSuspects bounds the upstreams that wait for Run to check them.
	mostSuspects = 64
	// refreshTime is how often files of name servers are looked at.
	refreshTime = 5 * time.Second
)

// check is how an upstream's health is checked.
type check struct {
	interval  time.Duration // between two checks
	patience  time.Duration // until a reply
	name      wire.Name
	recursion bool
	tcp       bool
}

// query is the check's question: NS of a name.
func (c *check) query() (*wire.Query, error) {
	m := new(dns.Msg).SetQuestion(c.name.String(), dns.TypeNS)
	m.RecursionDesired = c.recursion
	packet, err := m.Pack()
	if err != nil {
		return nil, err
	}
	q := new(wire.Query)
	return q, q.Parse(packet)
}

// down tells whether more health checks failed in a row than max_fails allows; with 0 there are none.
func (u *upstream) down() bool { return u.maxFails > 0 && u.fails.Load() > u.maxFails }

// doubtful tells whether the upstream failed, and no health check has spoken for it since.
func (u *upstream) doubtful() bool { return u.suspected.Load() }

// suspect asks for a health check, unless one is wanted already. It never waits.
func (u *upstream) suspect() {
	if u.maxFails == 0 || !u.suspected.CompareAndSwap(false, true) {
		return
	}
	select {
	case u.suspects <- u:
	default: // nobody checks; the next error asks again
		u.suspected.Store(false)
	}
}

// examine checks the upstream's health until it answers.
func (u *upstream) examine(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !u.healthy() {
		timer.Reset(max(u.check.interval, leastInterval))
		select {
		case <-ctx.Done():
			return
		case <-u.gone:
			return
		case <-timer.C:
		}
	}
	u.suspected.Store(false)
}

// healthy makes one health check. Any reply will do: an upstream that refuses to answer this question is alive.
func (u *upstream) healthy() bool {
	err := u.probe()
	if err == nil {
		if u.fails.Swap(0) > u.maxFails {
			u.log.Info(fmt.Sprintf("upstream %s is up again", u.to))
		}
		return true
	}
	u.meter.checkFailed()
	if u.fails.Add(1) == u.maxFails+1 {
		u.log.Warn(fmt.Sprintf("upstream %s is down, %d health checks failed: %v", u.to, u.maxFails+1, err))
	}
	return false
}

func (u *upstream) probe() error {
	q, err := u.check.query()
	if err != nil {
		return err
	}
	return u.query(q, u.check.tcp, time.Now().Add(u.check.patience))
}

// query asks q; any reply will do.
func (u *upstream) query(q *wire.Query, tcp bool, deadline time.Time) error {
	f := u.flights.get(q, leastRoom, deadline)
	f.lenient = true
	u.pool(tcp).send(f, time.Now())
	<-f.landed
	if u.again(f, tcp) {
		<-f.landed
	}
	err := f.err
	u.flights.put(f)
	return err
}

// Run checks the health of upstreams that failed, and follows the files that name upstreams, until ctx ends.
func (h *Handler) Run(ctx context.Context) error {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	ticker := time.NewTicker(h.refresh)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case u := <-h.suspects:
			tasks.Go(func() { u.examine(ctx) })
		case <-ticker.C:
			for _, r := range h.rosters {
				r.refresh()
			}
		}
	}
}

// Close closes the links.
func (h *Handler) Close() error {
	for _, f := range h.forwards {
		for _, u := range *f.upstreams.Load() {
			u.close()
		}
	}
	return nil
}
