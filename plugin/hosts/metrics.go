package hosts

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
)

// collectors are CoreDNS's.
type collectors struct {
	entries  *prometheus.GaugeVec
	reloaded prometheus.Gauge
}

// metrics are those of one file.
type metrics struct {
	entries  prometheus.Gauge
	reloaded prometheus.Gauge
}

func newMetrics(r *prometheus.Registry) (*collectors, error) {
	entries, err := plugin.Register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: "coredns", Subsystem: "hosts", Name: "entries",
		Help: "Addresses of names and names of addresses, in the file and in the Corefile."}, []string{"hostsfile"}))
	reloaded, failed := plugin.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "coredns", Subsystem: "hosts", Name: "reload_timestamp_seconds",
		Help: "When the file that was read last was written, in seconds since 1970."}))
	return &collectors{entries, reloaded}, errors.Join(err, failed)
}

func (c *collectors) of(path string) *metrics {
	return &metrics{entries: c.entries.WithLabelValues(path), reloaded: c.reloaded}
}
