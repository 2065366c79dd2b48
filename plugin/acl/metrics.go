package acl

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// metrics are CoreDNS's.
type metrics struct {
	allowed                    *prometheus.CounterVec
	blocked, filtered, dropped *prometheus.CounterVec
	onServer                   map[string]prometheus.Counter // of allowed, in blocks without a view: found without allocation
}

func newMetrics(env *plugin.Env) (*metrics, error) {
	m := &metrics{onServer: map[string]prometheus.Counter{}}
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
	for _, server := range env.Servers {
		m.onServer[server] = m.allowed.WithLabelValues(server, "")
	}
	return m, nil
}

func (m *metrics) allow(x *plugin.Exchange) {
	if c, ok := m.onServer[x.Server]; ok && x.View == "" {
		c.Inc()
		return
	}
	m.allowed.WithLabelValues(x.Server, x.View).Inc()
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
