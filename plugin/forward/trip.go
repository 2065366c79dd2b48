package forward

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/server/wire"
)

// errNoHealthy says that no attempt was made.
var errNoHealthy = errors.New("no healthy upstream")

// pause is between two rounds along the upstreams where their number is not bounded.
const pause = 20 * time.Millisecond

// trip is one query on its way along a line's upstreams.
type trip struct {
	*forward
	query    *wire.Query
	tcp      bool
	limit    int       // bytes that the client takes by UDP
	now      time.Time // when it began, or made its last attempt
	deadline time.Time

	legs     [3]leg // of an attempt: to an upstream, to another one, by TCP
	list     []*upstream
	attempts int    // that failed
	most     int    // of them; 0 for any number
	to       string // the upstream of the last one
}

// ask makes attempts as CoreDNS does: along the policy's order, past those that are down, and one upstream at random when
// all are, since the health checks may be what is broken. It returns a flight that brought a reply, to be put back.
func (t *trip) ask(ctx context.Context) (*flight, error) {
	t.list, t.most = t.ordered(), t.maxAttempts
	if t.most < 0 {
		t.most = 2 * len(t.list)
	}
	var (
		last   = errNoHealthy
		others = len(t.list) - 1 // to fail over to
		down   = 0
	)
	for turn := 0; t.goesOn(ctx); turn++ {
		i := turn % len(t.list)
		if i == 0 {
			down = 0
			if t.most == 0 && turn > 0 {
				if !wait(ctx, pause) {
					break
				}
				t.now = time.Now()
			}
		}
		u := t.list[i]
		if u.down() {
			if down++; down < len(t.list) {
				continue
			}
			t.metrics.broken.Inc()
			if t.failfast {
				break
			}
			u = t.list[rand.IntN(len(t.list))]
		}
		f, err := t.attempt(u)
		switch {
		case err == nil && others > 0 && slices.Contains(t.failover, f.rcode):
			others--
			last = errNoHealthy
			t.flights.put(f)
			t.now = time.Now()
			continue
		case err == nil:
			return f, nil
		}
		last = err
		t.now = time.Now()
		t.attempts++
		if down == len(t.list) {
			break
		}
	}
	return nil, last
}

// goesOn tells whether there is another attempt.
func (t *trip) goesOn(ctx context.Context) bool {
	return len(t.list) > 0 && (t.most == 0 || t.attempts < t.most) && t.now.Before(t.deadline) && ctx.Err() == nil
}

// ordered is the policy's order, but those that did not answer lately, and are checked, come last: what is not known to
// be well costs the queries that found it out, and no others.
func (f *forward) ordered() []*upstream {
	list := f.order(f.admitted())
	if len(list) < 2 || !slices.ContainsFunc(list, (*upstream).doubtful) {
		return list
	}
	sorted := make([]*upstream, 0, len(list))
	for _, doubtful := range []bool{false, true} {
		for _, u := range list {
			if u.doubtful() == doubtful {
				sorted = append(sorted, u)
			}
		}
	}
	return sorted
}

// attempt asks one upstream, by UDP and then by TCP where the options say so.
func (t *trip) attempt(u *upstream) (*flight, error) {
	l := t.exchange(u, t.spare(u))
	if f := l.flight; f.err == nil && f.truncated() && t.preferUDP && !l.tcp {
		t.flights.put(f)
		t.now = time.Now()
		l = t.depart(&t.legs[2], l.upstream, true)
		l.arrive()
	}
	t.to = l.to
	if err := l.flight.err; err != nil {
		t.flights.put(l.flight)
		return nil, err
	}
	return l.flight, nil
}

// exchange asks u, and spare as well when u takes longer than it uses to. The first good reply counts.
func (t *trip) exchange(u, spare *upstream) *leg {
	first := t.depart(&t.legs[0], u, t.tcp)
	if spare == nil {
		first.arrive()
		return first
	}
	timer := time.NewTimer(u.rtt.patience(leastPatience, min(mostPatience, t.readTimeout/2)))
	defer timer.Stop()
	for !first.over {
		select {
		case <-first.flight.landed:
			first.land()
		case <-timer.C:
			if !t.budget.spend() {
				first.arrive()
				return first
			}
			u.meter.hedged.Inc()
			t.now = time.Now()
			return t.race(first, t.depart(&t.legs[1], spare, t.tcp))
		}
	}
	return first
}

// race waits for the better of two. Other rcodes than NOERROR and NXDOMAIN say little about the name, so the other one
// is waited for as well.
func (t *trip) race(first, second *leg) *leg {
	for !first.over || !second.over {
		select {
		case <-first.landed():
			first.land()
		case <-second.landed():
			second.land()
		}
		if first.good() {
			second.leave()
			return first
		}
		if second.good() {
			first.leave()
			return second
		}
	}
	if first.flight.err != nil && second.flight.err == nil {
		first.leave()
		return second
	}
	second.leave()
	return first
}

// leg is one query to one upstream.
type leg struct {
	*upstream
	flight *flight
	tcp    bool
	start  time.Time
	over   bool // the flight is its owner's again
}

func (t *trip) depart(l *leg, u *upstream, tcp bool) *leg {
	*l = leg{upstream: u, flight: u.send(t.query, tcp, t.limit, t.now, t.deadline), tcp: tcp || u.tls, start: t.now}
	return l
}

// arrive waits for the end.
func (l *leg) arrive() {
	for !l.over {
		<-l.flight.landed
		l.land()
	}
}

// landed is closed to a select once the leg is over.
func (l *leg) landed() <-chan struct{} {
	if l.over {
		return nil
	}
	return l.flight.landed
}

// land takes note of what came back.
func (l *leg) land() {
	if l.again(l.flight, l.tcp) {
		return
	}
	l.over = true
	if l.flight.err != nil {
		l.suspect()
		return
	}
	took := time.Since(l.start)
	l.rtt.observe(took)
	l.meter.answered(l.flight.rcode, took)
}

func (l *leg) good() bool {
	return l.over && l.flight.err == nil && (l.flight.rcode == dns.RcodeSuccess || l.flight.rcode == dns.RcodeNameError)
}

// leave gives the leg up. That an upstream was slower than another one is no failure, but reason to look after it.
func (l *leg) leave() {
	if l.over {
		l.flights.put(l.flight)
		return
	}
	l.abandon(l.flight)
	l.rtt.observe(time.Since(l.start))
	l.suspect()
}

// wait is false when ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
