package server

import (
	"encoding/hex"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
)

// meters are the server's own metrics. CoreDNS's name is kept where it has the metric.
type meters struct {
	panics      prometheus.Counter
	shed        prometheus.Counter
	connections prometheus.Gauge
	evicted     prometheus.Counter
	failed      prometheus.Counter   // reloads
	version     *prometheus.GaugeVec // of the Corefile
}

func newMeters(r *prometheus.Registry) (*meters, error) {
	m, errs := &meters{}, [6]error{}
	m.panics, errs[0] = plugin.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
		Name: "coredns_panics_total", Help: "Number of queries whose handler panicked."}))
	m.shed, errs[1] = plugin.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
		Name: "nameplane_dns_shed_total", Help: "Number of queries answered by SERVFAIL since too many were waiting."}))
	m.connections, errs[2] = plugin.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "nameplane_tcp_connections", Help: "Number of open TCP connections of clients."}))
	m.evicted, errs[3] = plugin.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
		Name: "nameplane_tcp_evicted_total", Help: "Number of TCP connections closed to make room for new ones."}))
	m.failed, errs[4] = plugin.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
		Name: "coredns_reload_failed_total", Help: "Number of new Corefiles that could not be put in place."}))
	m.version, errs[5] = plugin.Register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "coredns_reload_version_info", Help: "1, with the checksum of the Corefile that is served."}, []string{"hash", "value"}))
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

// serves notes the instance that answers from now on.
func (m *meters) serves(made *instance) {
	m.version.Reset()
	m.version.WithLabelValues("sha512", hex.EncodeToString(made.sum[:])).Set(1)
}
