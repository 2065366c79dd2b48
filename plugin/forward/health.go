package forward

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/server/wire"
)

// leastInterval keeps "health_check 0s" from asking without a pause.
const leastInterval = 10 * time.Millisecond

// check is how an upstream's health is checked.
type check struct {
	interval  time.Duration // between two checks
	patience  time.Duration // until a reply
	name      wire.Name
	recursion bool
	tcp       bool
}

// query is the check's question: NS of a name.
func (c *check) query() ([]byte, error) {
	m := new(dns.Msg).SetQuestion(c.name.String(), dns.TypeNS)
	m.RecursionDesired = c.recursion
	return m.Pack()
}

// down tells whether more health checks failed in a row than max_fails allows; with 0 there are none.
func (u *upstream) down() bool { return u.maxFails > 0 && u.fails.Load() > u.maxFails }

// suspect asks for a health check, unless one is wanted already. It never waits.
func (u *upstream) suspect() {
	if u.maxFails == 0 {
		return
	}
	select {
	case u.suspected <- struct{}{}:
	default:
	}
}

// watch checks the upstream's health whenever it is suspected, until it answers.
func (u *upstream) watch(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-u.suspected:
		}
		for !u.healthy() {
			timer.Reset(max(u.check.interval, leastInterval))
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
		}
		select { // failures that were seen meanwhile are answered by this check
		case <-u.suspected:
		default:
		}
	}
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
	query, err := u.check.query()
	if err != nil {
		return err
	}
	f := u.newFlight(query, leastRoom, time.Now().Add(u.check.patience))
	defer u.land(f)
	f.take = func(packet []byte) error {
		if packet[2]&0x80 == 0 {
			return errors.New("not a response")
		}
		return nil
	}
	return u.fly(f, u.check.tcp)
}

// sweepTime is how often connections that expired are looked for.
const sweepTime = 10 * time.Second

// Run checks the health of upstreams that failed, and closes connections that nobody used for long, until ctx ends.
func (h *Handler) Run(ctx context.Context) error {
	var tasks sync.WaitGroup
	for _, f := range h.forwards {
		for _, u := range f.upstreams {
			tasks.Go(func() { u.watch(ctx) })
		}
	}
	ticker := time.NewTicker(sweepTime)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			tasks.Wait()
			return nil
		case now := <-ticker.C:
			h.sweep(now)
		}
	}
}

func (h *Handler) sweep(now time.Time) {
	for _, f := range h.forwards {
		for _, u := range f.upstreams {
			u.sweep(now)
		}
	}
}

// Close closes the connections.
func (h *Handler) Close() error {
	for _, f := range h.forwards {
		for _, u := range f.upstreams {
			u.close()
		}
	}
	return nil
}
