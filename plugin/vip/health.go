package vip

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// overdue is for how long a change may wait before the process counts as unhealthy: kube-proxy's two periods of 30 s.
const overdue = time.Minute

// health is what others are told of the loop.
type health struct {
	mu   sync.Mutex
	last time.Time // guarded by mu: when all that was known was forwarded; zero for never
	err  error     // guarded by mu: why it is not now
}

func (h *health) succeed(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last, h.err = now, nil
}

func (h *health) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

// ready is nil once all was forwarded for the first time.
func (h *health) ready() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !h.last.IsZero():
		return nil
	case h.err != nil:
		return h.err
	}
	return errStarting
}

// state is when all that was known was forwarded, and why it is not now.
func (h *health) state() (last time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last, h.err
}

// healthy tells whether no change waits for longer than it may.
func (l *loop) healthy() bool {
	waiting, _ := l.queue.waiting()
	return waiting.first.IsZero() || l.queue.now().Sub(waiting.first) < overdue
}

// probe is the page /healthz or /livez as kube-proxy has it. The first also says whether the node is to get new clients.
type probe struct {
	forwarder *forwarder
	metrics   *metrics
	now       func() time.Time
	healthz   bool
}

// ServeHTTP answers by 200, or by 503 when a change waits for too long.
func (p probe) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	now, last, healthy, eligible := p.now(), time.Time{}, true, true
	if l := p.forwarder.current(); l != nil {
		last, _ = l.health.state()
		healthy, eligible = l.healthy(), l.eligible()
	}
	node, total := "", p.metrics.livez
	if p.healthz {
		healthy = healthy && eligible
		node, total = fmt.Sprintf(", \"nodeEligible\": %t", eligible), p.metrics.healthz
	}
	code := http.StatusOK
	if healthy {
		last = now // as kube-proxy: what is told is fresh
	} else {
		code = http.StatusServiceUnavailable
	}
	total.WithLabelValues(fmt.Sprint(code)).Inc()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"lastUpdated": %q,"currentTime": %q%s}`, last, now, node)
}

// eligible tells whether the node is to get new clients.
func (l *loop) eligible() bool { return !l.leaving.Load() }
