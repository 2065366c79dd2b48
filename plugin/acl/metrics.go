package acl

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// metrics are CoreDNS's.
type metrics struct {
	allowed                    *prometheus.CounterVec
	blocked, filtered, dropped *prometheus.CounterVec

	mu     sync.Mutex
	passed atomic.Pointer[map[place]prometheus.Counter] // of allowed: found without allocation; copied when one is added
}

// place is where a query came in.
type place struct{ server, view string }

func newMetrics(env *plugin.Env) (*metrics, error) {
	m := &metrics{}
	m.passed.Store(&map[place]prometheus.Counter{})
	for _, c := range []struct {
		into   **prometheus.CounterVec
		name   string
		help   string
		labels []string
	}{
		{&m.allowed, "allowed_requests_total", "Queries that were let through.", []string{"server", "view"}},
		{&m.blocked, "blocked_requests_total", "Queries that were refused.", []string{"server", "zone", "view"}},
		{&m.filtered, "filtered_requests_total", "Queries that were answered empty.", []string{"server", "zone", "view"}},
		{&m.dropped, "dropped_requests_total", "Queries that were left without a reply.", []string{"server", "zone", "view"}},
	} {
		var err error
		*c.into, err = plugin.Register(env.Metrics, prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "coredns", Subsystem: "acl", Name: c.name, Help: c.help,
		}, c.labels))
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) allow(x *plugin.Exchange) {
	at := place{x.Server, x.View}
	c, ok := (*m.passed.Load())[at]
	if !ok {
		c = m.add(at)
	}
	c.Inc()
}

// add makes the counter of a place, for its first query.
func (m *metrics) add(at place) prometheus.Counter {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.allowed.WithLabelValues(at.server, at.view)
	more := maps.Clone(*m.passed.Load())
	more[at] = c
	m.passed.Store(&more)
	return c
}

func (m *metrics) deny(act action, x *plugin.Exchange, zone wire.Name) {
	c := m.dropped
	switch act {
	case blocking:
		c = m.blocked
	case filtering:
		c = m.filtered
	}
	c.WithLabelValues(x.Server, zone.String(), x.View).Inc()
}
