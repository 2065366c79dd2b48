package vip

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin/vip/relay"
)

// relayMetric is one figure of the mode relay.
type relayMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(s relay.Stats) float64
	label string // value of the desc's label; empty for none
}

// relayMetrics are what the relay tells of itself; the kernel has no such figures of what it forwards.
func relayMetrics() []relayMetric {
	const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("nameplane_vip_relay_"+name, help, labels, nil)
	}
	var (
		connections = desc("connections_total", "TCP connections by what became of them.", "outcome")
		flows       = desc("flows_total", "UDP flows by what became of them.", "outcome")
		bytes       = desc("bytes_total", "Bytes of TCP connections.", "direction")
		datagrams   = desc("datagrams_total", "UDP datagrams.", "direction")
	)
	return []relayMetric{
		{desc("refused", "Addresses and ports that no socket can be opened for; the log says why."), gauge, func(s relay.Stats) float64 { return float64(s.Refused) }, ""},
		{desc("connections", "TCP connections that are open."), gauge, func(s relay.Stats) float64 { return float64(s.Open) }, ""},
		{connections, counter, func(s relay.Stats) float64 { return float64(s.Connections) }, "forwarded"},
		{connections, counter, func(s relay.Stats) float64 { return float64(s.Failed) }, "failed"},
		{connections, counter, func(s relay.Stats) float64 { return float64(s.Shed) }, "shed"},
		{connections, counter, func(s relay.Stats) float64 { return float64(s.AcceptErrors) }, "not_accepted"},
		{desc("retries_total", "Attempts to reach another backend."), counter, func(s relay.Stats) float64 { return float64(s.Retried) }, ""},
		{desc("denied_total", "Connections and flows of clients that are not let in, or that no backend is there for."), counter, func(s relay.Stats) float64 { return float64(s.Denied) }, ""},
		{bytes, counter, func(s relay.Stats) float64 { return float64(s.BytesIn) }, "in"},
		{bytes, counter, func(s relay.Stats) float64 { return float64(s.BytesOut) }, "out"},
		{desc("flows", "UDP flows that are open."), gauge, func(s relay.Stats) float64 { return float64(s.OpenFlows) }, ""},
		{flows, counter, func(s relay.Stats) float64 { return float64(s.Flows) }, "forwarded"},
		{flows, counter, func(s relay.Stats) float64 { return float64(s.FlowsFailed) }, "failed"},
		{flows, counter, func(s relay.Stats) float64 { return float64(s.Evicted) }, "evicted"},
		{flows, counter, func(s relay.Stats) float64 { return float64(s.Stale) }, "stale"},
		{datagrams, counter, func(s relay.Stats) float64 { return float64(s.DatagramsIn) }, "in"},
		{datagrams, counter, func(s relay.Stats) float64 { return float64(s.DatagramsOut) }, "out"},
		{desc("affinities", "Clients that are remembered for their backend."), gauge, func(s relay.Stats) float64 { return float64(s.Affinities) }, ""},
	}
}

// collect sends the figures of a relay.
func (m relayMetric) collect(s relay.Stats, out chan<- prometheus.Metric) {
	var labels []string
	if m.label != "" {
		labels = []string{m.label}
	}
	out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(s), labels...)
}
