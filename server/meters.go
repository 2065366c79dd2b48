package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
)

// meters are the server's own metrics. CoreDNS's name is kept where it has the metric.
type meters struct {
	panics      prometheus.Counter
	shed        prometheus.Counter
	connections prometheus.Gauge
	evicted     prometheus.Counter
}

func newMeters(r *prometheus.Registry) (*meters, error) {
	m, errs := &meters{}, [4]error{}
	m.panics, errs[0] = plugin.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
		Name: "coredns_panics_total", Help: "Number of queries whose handler panicked."}))
	m.shed, errs[1] = plugin.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
		Name: "nameplane_dns_shed_total", Help: "Number of queries answered by SERVFAIL since too many were waiting."}))
	m.connections, errs[2] = plugin.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "nameplane_tcp_connections", Help: "Number of open TCP connections of clients."}))
	m.evicted, errs[3] = plugin.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
		Name: "nameplane_tcp_evicted_total", Help: "Number of TCP connections closed to make room for new ones."}))
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}
