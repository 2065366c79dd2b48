package forward

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
)

// metrics are CoreDNS's: those of its proxy, which forward shares there with others, and those of its forward, of which
// older dashboards and alert rules still use the per-upstream ones.
type metrics struct {
	timings       *timings
	proxyFailures *prometheus.CounterVec
	cacheHits     *prometheus.CounterVec
	cacheMisses   *prometheus.CounterVec

	requests *prometheus.CounterVec
	failures *prometheus.CounterVec
	broken   prometheus.Counter
	rejects  prometheus.Counter

	hedged    *prometheus.CounterVec
	ignored   *prometheus.CounterVec
	coalesced prometheus.Counter
}

func newMetrics(registry *prometheus.Registry) (*metrics, error) {
	r := registrar{to: registry}
	m := &metrics{
		timings:       register(&r, newTimings()),
		proxyFailures: r.counters("coredns_proxy_healthcheck_failures_total", "Failed health checks.", "proxy_name", "to"),
		cacheHits:     r.counters("coredns_proxy_conn_cache_hits_total", "Queries on a connection that was open already.", "proxy_name", "to", "proto"),
		cacheMisses:   r.counters("coredns_proxy_conn_cache_misses_total", "Queries that a connection was opened for.", "proxy_name", "to", "proto"),

		requests: r.counters("coredns_forward_requests_total", "Queries sent to an upstream.", "to"),
		failures: r.counters("coredns_forward_healthcheck_failures_total", "Failed health checks.", "to"),
		broken:   r.counter("coredns_forward_healthcheck_broken_total", "Queries for which all upstreams were down."),
		rejects:  r.counter("coredns_forward_max_concurrent_rejects_total", "Queries refused because max_concurrent others were waiting."),

		hedged:    r.counters("nameplane_forward_hedged_total", "Queries that another upstream was asked as well, since this one was slow.", "to"),
		ignored:   r.counters("nameplane_forward_ignored_replies_total", "Packets from an upstream that answered no query: late, malformed, or forged.", "to"),
		coalesced: r.counter("nameplane_forward_coalesced_total", "Queries that shared the exchange of an identical one under way."),
	}
	return m, r.err
}

// registrar registers collectors until the first error.
type registrar struct {
	to  *prometheus.Registry
	err error
}

func register[C prometheus.Collector](r *registrar, c C) C {
	registered, err := plugin.Register(r.to, c)
	if r.err == nil {
		r.err = err
	}
	return registered
}

func (r *registrar) counters(name, help string, labels ...string) *prometheus.CounterVec {
	return register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
}

func (r *registrar) counter(name, help string) prometheus.Counter {
	return register(r, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
}

// meter is the metrics of one upstream, looked up once.
type meter struct {
	all      *metrics
	to       string
	requests prometheus.Counter
	hedged   prometheus.Counter
	byRcode  [24]atomic.Pointer[timing] // the assigned ones below BADVERS's group; others are looked up
}

func newMeter(all *metrics, to string) *meter {
	return &meter{all: all, to: to, requests: all.requests.WithLabelValues(to), hedged: all.hedged.WithLabelValues(to)}
}

func (m *meter) answered(rcode int, took time.Duration) { m.timing(rcode).observe(took) }

func (m *meter) timing(rcode int) *timing {
	if rcode >= len(m.byRcode) {
		return m.all.timings.of(m.to, rcode)
	}
	if t := m.byRcode[rcode].Load(); t != nil {
		return t
	}
	t := m.all.timings.of(m.to, rcode)
	m.byRcode[rcode].Store(t)
	return t
}

func (m *meter) checkFailed() {
	m.all.failures.WithLabelValues(m.to).Inc()
	m.all.proxyFailures.WithLabelValues("forward", m.to).Inc()
}
