package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/cluster"
)

// storeMetrics tells what the stores hold and how fresh it is: what CoreDNS's operators cannot see, and need an alarm on,
// is a watch that silently stopped.
type storeMetrics struct{ pool *cluster.Pool }

var (
	storeObjects   = storeDesc("objects", "Objects known, by kind.", "kind")
	storeSynced    = storeDesc("synced", "1 once every kind of object was listed.")
	storeFollowing = storeDesc("following", "1 while the source follows its cluster, 0 while it fails to.")
	storeLastEvent = storeDesc("last_event_timestamp_seconds", "Unix time of the last event or bookmark from the source.")
	storeRelists   = storeDesc("relists_total", "Lists after the first one.")
	storeSkipped   = storeDesc("skipped_total", "Objects, or parts of objects, that broke a rule and were left out.")
)

func storeDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("nameplane_store_"+name, help, append([]string{"source"}, labels...), nil)
}

// Describe implements prometheus.Collector.
func (m storeMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{storeObjects, storeSynced, storeFollowing, storeLastEvent, storeRelists, storeSkipped} {
		out <- d
	}
}

// Collect implements prometheus.Collector. Two stores of one source, as while a reload swaps them, count as one.
func (m storeMetrics) Collect(out chan<- prometheus.Metric) {
	seen := map[string]bool{}
	for _, s := range m.pool.Statuses() {
		if seen[s.Source] {
			continue
		}
		seen[s.Source] = true
		gauge := func(d *prometheus.Desc, v float64, labels ...string) {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{s.Source}, labels...)...)
		}
		for _, kind := range cluster.Kinds() {
			gauge(storeObjects, float64(s.Objects[kind]), kind.String())
		}
		gauge(storeSynced, boolean(s.Synced))
		gauge(storeFollowing, boolean(s.Failure == ""))
		if !s.LastEvent.IsZero() {
			gauge(storeLastEvent, float64(s.LastEvent.UnixMilli())/1000)
		}
		out <- prometheus.MustNewConstMetric(storeRelists, prometheus.CounterValue, float64(s.Relists), s.Source)
		out <- prometheus.MustNewConstMetric(storeSkipped, prometheus.CounterValue, float64(s.Skipped), s.Source)
	}
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
