package template

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
)

// metrics are CoreDNS's.
type metrics struct {
	matches    *prometheus.CounterVec
	failures   *prometheus.CounterVec
	badRecords *prometheus.CounterVec
}

func newMetrics(r *prometheus.Registry) (*metrics, error) {
	labels := []string{"server", "zone", "view", "class", "type"}
	counter := func(name, help string, more ...string) (*prometheus.CounterVec, error) {
		return plugin.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "coredns", Subsystem: "template", Name: name, Help: help}, append(labels[:len(labels):len(labels)], more...)))
	}
	var m metrics
	var problems [3]error
	m.matches, problems[0] = counter("matches_total", "Queries that a template matched.")
	m.failures, problems[1] = counter("template_failures_total", "Templates that could not be carried out.", "section", "template")
	m.badRecords, problems[2] = counter("rr_failures_total", "Templates whose text was no record.", "section", "template")
	return &m, errors.Join(problems[:]...)
}
