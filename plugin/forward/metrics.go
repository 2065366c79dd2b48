package forward

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
)

// metrics are CoreDNS's: those of its proxy, which forward shares there with others, and those of its forward, of which
// older dashboards and alert rules still use the per-upstream ones.
type metrics struct {
	proxyDuration *prometheus.HistogramVec
	proxyFailures *prometheus.CounterVec
	cacheHits     *prometheus.CounterVec
	cacheMisses   *prometheus.CounterVec

	requests  *prometheus.CounterVec
	responses *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	failures  *prometheus.CounterVec
	broken    prometheus.Counter
	rejects   prometheus.Counter
}

func newMetrics(registry *prometheus.Registry) (*metrics, error) {
	r := registrar{to: registry}
	m := &metrics{
		proxyDuration: r.histogram("proxy", "request_duration_seconds", "Time that an upstream took to answer.", "proxy_name", "to", "rcode"),
		proxyFailures: r.counters("proxy", "healthcheck_failures_total", "Failed health checks.", "proxy_name", "to"),
		cacheHits:     r.counters("proxy", "conn_cache_hits_total", "Queries on a connection that was open already.", "proxy_name", "to", "proto"),
		cacheMisses:   r.counters("proxy", "conn_cache_misses_total", "Queries that a connection was opened for.", "proxy_name", "to", "proto"),

		requests:  r.counters("forward", "requests_total", "Queries sent to an upstream.", "to"),
		responses: r.counters("forward", "responses_total", "Replies of an upstream.", "to", "rcode"),
		duration:  r.histogram("forward", "request_duration_seconds", "Time that an upstream took to answer.", "to", "rcode"),
		failures:  r.counters("forward", "healthcheck_failures_total", "Failed health checks.", "to"),
		broken:    r.counter("forward", "healthcheck_broken_total", "Queries for which all upstreams were down."),
		rejects:   r.counter("forward", "max_concurrent_rejects_total", "Queries refused because max_concurrent others were waiting."),
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

func (r *registrar) counters(subsystem, name, help string, labels ...string) *prometheus.CounterVec {
	return register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "coredns", Subsystem: subsystem, Name: name, Help: help}, labels))
}

func (r *registrar) counter(subsystem, name, help string) prometheus.Counter {
	return register(r, prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: "coredns", Subsystem: subsystem, Name: name, Help: help}))
}

func (r *registrar) histogram(subsystem, name, help string, labels ...string) *prometheus.HistogramVec {
	return register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "coredns", Subsystem: subsystem, Name: name, Help: help,
		Buckets: prometheus.ExponentialBuckets(0.00025, 2, 16), NativeHistogramBucketFactor: 1.05}, labels))
}

// meter is the metrics of one upstream, looked up once.
type meter struct {
	all      *metrics
	to       string
	requests prometheus.Counter
	byRcode  [24]atomic.Pointer[rcodeMeter] // the assigned ones below BADVERS's group; others are looked up
}

type rcodeMeter struct {
	responses               prometheus.Counter
	duration, proxyDuration prometheus.Observer
}

func newMeter(all *metrics, to string) *meter {
	return &meter{all: all, to: to, requests: all.requests.WithLabelValues(to)}
}

func (m *meter) answered(rcode int, took time.Duration) {
	r := m.rcode(rcode)
	r.responses.Inc()
	r.duration.Observe(took.Seconds())
	r.proxyDuration.Observe(took.Seconds())
}

func (m *meter) rcode(rcode int) *rcodeMeter {
	if rcode < len(m.byRcode) {
		if r := m.byRcode[rcode].Load(); r != nil {
			return r
		}
	}
	text, ok := dns.RcodeToString[rcode]
	if !ok {
		text = strconv.Itoa(rcode)
	}
	r := &rcodeMeter{
		responses:     m.all.responses.WithLabelValues(m.to, text),
		duration:      m.all.duration.WithLabelValues(m.to, text),
		proxyDuration: m.all.proxyDuration.WithLabelValues("forward", m.to, text),
	}
	if rcode < len(m.byRcode) {
		m.byRcode[rcode].Store(r)
	}
	return r
}

func (m *meter) checkFailed() {
	m.all.failures.WithLabelValues(m.to).Inc()
	m.all.proxyFailures.WithLabelValues("forward", m.to).Inc()
}
