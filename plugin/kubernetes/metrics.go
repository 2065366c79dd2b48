package kubernetes

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin"
)

// metrics are CoreDNS's, name by name, so that dashboards and alerts go on.
type metrics struct {
	now         func() time.Time
	programming *prometheus.HistogramVec
	requests    *prometheus.CounterVec
	duration    *prometheus.HistogramVec
	limited     *prometheus.HistogramVec
}

func newMetrics(registry *prometheus.Registry, now func() time.Time) (*metrics, error) {
	const namespace, subsystem = "coredns", "kubernetes"
	m := &metrics{now: now}
	var err error
	register := func(into **prometheus.HistogramVec, name, help string, buckets []float64, labels ...string) {
		if err == nil {
			*into, err = plugin.Register(registry, prometheus.NewHistogramVec(prometheus.HistogramOpts{
				Namespace: namespace, Subsystem: subsystem, Name: name, Help: help, Buckets: buckets,
			}, labels))
		}
	}
	register(&m.programming, "dns_programming_duration_seconds",
		"Time from a change of endpoints in the cluster until it is answered.",
		prometheus.ExponentialBuckets(0.001, 2, 20), "service_kind")
	register(&m.duration, "rest_client_request_duration_seconds",
		"Time that a request to the API server took.", prometheus.DefBuckets, "verb", "host")
	register(&m.limited, "rest_client_rate_limiter_duration_seconds",
		"Time that a request waited for the client's own rate limit.", prometheus.DefBuckets, "verb", "host")
	if err != nil {
		return nil, err
	}
	m.requests, err = plugin.Register(registry, prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "rest_client_requests_total",
		Help: "Requests to the API server.",
	}, []string{"code", "method", "host"}))
	return m, err
}

// observe records how long an endpoint change took to get here; slices that no controller made don't tell when it was.
func (m *metrics) observe(c cluster.Change) {
	if c.Kind != cluster.KindEndpointSlice || c.ForwardingOnly || c.Trigger.IsZero() {
		return
	}
	kind := "cluster_ip"
	switch c.Service.Type {
	case cluster.Absent:
		return
	case cluster.Headless:
		kind = "headless_with_selector"
	}
	m.programming.WithLabelValues(kind).Observe(m.now().Sub(c.Trigger).Seconds())
}

func (m *metrics) telemetry() cluster.Telemetry {
	clean := func(host string) string { return strings.ToValidUTF8(host, "\uFFFD") }
	return cluster.Telemetry{
		Request: func(verb, host, code string, d time.Duration) {
			m.requests.WithLabelValues(code, verb, clean(host)).Inc()
			m.duration.WithLabelValues(verb, clean(host)).Observe(d.Seconds())
		},
		Limited: func(verb, host string, d time.Duration) {
			m.limited.WithLabelValues(verb, clean(host)).Observe(d.Seconds())
		},
	}
}
