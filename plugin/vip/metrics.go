package vip

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/plugin/vip/plan"
	"github.com/nameplane/nameplane/plugin/vip/relay"
)

// metrics are kube-proxy's under their names where they mean the same, so that dashboards and alerts go on, and ours for
// what it lacks. Both address families are forwarded by one pass, so its label ip_family is left out.
type metrics struct {
	began time.Time // triggers before were somebody else's to forward

	latency, seen, passes prometheus.Histogram
	full, partial         prometheus.Histogram
	changes               *prometheus.CounterVec
	failures, repairs     prometheus.Counter
	healthz, livez        *prometheus.CounterVec
	services, slices      prometheus.Counter
}

func newMetrics(registry *prometheus.Registry, f *forwarder, now func() time.Time) (*metrics, error) {
	r := registrar{to: registry}
	syncs := prometheus.ExponentialBuckets(0.001, 2, 15)
	m := &metrics{
		began: f.start(now()),
		latency: r.histogram("kubeproxy_network_programming_duration_seconds",
			"Time from a change of endpoints in the cluster until it is forwarded.", latencyBuckets()),
		passes:  r.histogram("kubeproxy_sync_proxy_rules_duration_seconds", "Time that a pass took.", syncs),
		full:    r.histogram("kubeproxy_sync_full_proxy_rules_duration_seconds", "Time that a pass over everything took.", syncs),
		partial: r.histogram("kubeproxy_sync_partial_proxy_rules_duration_seconds", "Time that a pass over what changed took.", syncs),
		seen: r.histogram("nameplane_vip_programming_duration_seconds",
			"Time from when a change was seen until it is forwarded.", prometheus.ExponentialBuckets(0.00025, 2, 20)),
		services: r.counter("kubeproxy_sync_proxy_rules_service_changes_total", "Changes of services."),
		slices:   r.counter("kubeproxy_sync_proxy_rules_endpoint_changes_total", "Changes of endpoint slices."),
		failures: r.counter("kubeproxy_sync_proxy_rules_nftables_sync_failures_total", "Passes that failed, in any mode."),
		repairs:  r.counter("nameplane_vip_repairs_total", "Times that something forwarded was found gone, and made again."),
		healthz:  r.counters("kubeproxy_proxy_healthz_total", "Answers of /healthz.", "code"),
		livez:    r.counters("kubeproxy_proxy_livez_total", "Answers of /livez.", "code"),
	}
	register(&r, prometheus.Collector(gauges{f, relayMetrics()}))
	return m, r.err
}

// latencyBuckets are kube-proxy's: fine where the objective is, out to five minutes.
func latencyBuckets() []float64 {
	buckets := append([]float64{0.25, 0.5}, prometheus.LinearBuckets(1, 1, 59)...)
	buckets = append(buckets, prometheus.LinearBuckets(60, 5, 12)...)
	return append(buckets, prometheus.LinearBuckets(120, 30, 7)...)
}

// observe records a pass that forwarded all that waited.
func (m *metrics) observe(done backlog, now time.Time, took time.Duration, full bool) {
	m.passes.Observe(took.Seconds())
	if full {
		m.full.Observe(took.Seconds())
	} else {
		m.partial.Observe(took.Seconds())
	}
	m.services.Add(float64(done.services))
	m.slices.Add(float64(done.slices))
	if !done.first.IsZero() {
		m.seen.Observe(now.Sub(done.first).Seconds())
	}
	for _, at := range done.triggers {
		if at.After(m.began) {
			m.latency.Observe(now.Sub(at).Seconds())
		}
	}
}

// gauges shows the forwarder as it is when it is asked.
type gauges struct {
	*forwarder
	relay []relayMetric
}

var (
	descServicesPending = prometheus.NewDesc("kubeproxy_sync_proxy_rules_service_changes_pending", "Changes of services that are not forwarded yet.", nil, nil)
	descSlicesPending   = prometheus.NewDesc("kubeproxy_sync_proxy_rules_endpoint_changes_pending", "Changes of endpoint slices that are not forwarded yet.", nil, nil)
	descQueued          = prometheus.NewDesc("kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds", "Unix time of the last change.", nil, nil)
	descSynced          = prometheus.NewDesc("kubeproxy_sync_proxy_rules_last_timestamp_seconds", "Unix time at which all that was known was forwarded.", nil, nil)
	descNoLocal         = prometheus.NewDesc("kubeproxy_sync_proxy_rules_no_local_endpoints_total", "Services with a traffic policy Local, and no endpoint on this node.", []string{"traffic_policy"}, nil)
	descFrontends       = prometheus.NewDesc("nameplane_vip_frontends", "Addresses and ports that are forwarded, by kind.", []string{"kind"}, nil)
	descBackends        = prometheus.NewDesc("nameplane_vip_backends", "Backends, summed up over the frontends.", nil, nil)
	descRefused         = prometheus.NewDesc("nameplane_vip_refused", "Parts of services that cannot be forwarded; the log says why.", nil, nil)
	descPending         = prometheus.NewDesc("nameplane_vip_pending_seconds", "For how long the oldest change has been waiting; 0 for none.", nil, nil)
	descCurrent         = prometheus.NewDesc("nameplane_vip_current", "1 while the last pass was good, 0 after one that failed.", []string{"mode"}, nil)
)

// Describe implements prometheus.Collector.
func (g gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descServicesPending, descSlicesPending, descQueued, descSynced, descNoLocal,
		descFrontends, descBackends, descRefused, descPending, descCurrent} {
		out <- d
	}
	for _, m := range g.relay {
		out <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (g gauges) Collect(out chan<- prometheus.Metric) {
	l := g.current()
	if l == nil {
		return
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	waiting, queued := l.queue.waiting()
	sum := l.ledger.totals()
	gauge(descServicesPending, float64(waiting.services))
	gauge(descSlicesPending, float64(waiting.slices))
	gauge(descQueued, unix(queued))
	late := 0.0
	if !waiting.first.IsZero() {
		late = l.queue.now().Sub(waiting.first).Seconds()
	}
	gauge(descPending, late)
	last, err := l.health.state()
	gauge(descSynced, unix(last))
	gauge(descCurrent, boolean(err == nil && !last.IsZero()), l.mode)
	for i, policy := range []string{"internal", "external"} {
		gauge(descNoLocal, float64(sum.noLocal[i]), policy)
	}
	for kind, n := range sum.frontends {
		gauge(descFrontends, float64(n), plan.Kind(kind).String())
	}
	gauge(descBackends, float64(sum.backends))
	gauge(descRefused, float64(sum.refused))
	if r, ok := l.plane.(*relay.Relay); ok {
		stats := r.Stats()
		for _, m := range g.relay {
			m.collect(stats, out)
		}
	}
}

// unix is 0 for a time that never was.
func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
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

func (r *registrar) histogram(name, help string, buckets []float64) prometheus.Histogram {
	return register(r, prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}))
}

func (r *registrar) counters(name, help string, labels ...string) *prometheus.CounterVec {
	return register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
}

func (r *registrar) counter(name, help string) prometheus.Counter {
	return register(r, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
}
