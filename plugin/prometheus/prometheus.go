// Package prometheus is the directive that counts queries, and serves all metrics of the process.
//
// Names, labels and buckets are CoreDNS's, so that dashboards and alert rules made for it go on working. A query is
// counted by a handful of additions to the cells of the socket it came by (cells), without a lock, a look-up by label or an
// allocation; a scrape adds the cells up (counters). What CoreDNS lacks begins with "nameplane_".
package prometheus

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

const (
	path = "/metrics"

	// dropped is the zone of queries that no server block answered. It has no final dot, so it is no zone's name.
	dropped = "dropped"
)

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "prometheus",
		Summary: "counts queries and serves metrics",
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	line, err := corefile.Only(lines)
	if err != nil {
		return nil, err
	}
	var problems corefile.Errors
	h := &Handler{env: env}
	var secure *plugin.TLS
	addr, err := line.Address("localhost:9153")
	problems.Join(err)
	problems.Join(line.Decode(
		corefile.Flag("runtime_metrics", &h.runtime),
		corefile.Func("tls", "tls FILE", 1, 1, func(o *corefile.Directive) (err error) {
			secure, err = newTLS(env, o)
			return err
		}),
	))
	if err := problems.Err(); err != nil {
		return nil, err
	}
	if h.counters, err = plugin.Register(env.Metrics, newCounters(env)); err != nil {
		return nil, line.Errorf("%v", err)
	}
	if err := env.Web.Handle(line.Pos, addr, path, page{h.counters, secure}); err != nil {
		return nil, err
	}
	return h, nil
}

// Handler counts the queries of a server block.
type Handler struct {
	env      *plugin.Env
	counters *counters
	runtime  bool   // all that the Go runtime tells is wanted
	next     string // the directive behind this one

	routes atomic.Pointer[[]route]
	mu     sync.Mutex // guards changes of routes
}

// route is where queries of one zone on one listener are counted.
type route struct {
	place
	series *series
}

// Name is "prometheus".
func (h *Handler) Name() string { return "prometheus" }

// Start looks up what follows in the chain: CoreDNS names it in coredns_dns_responses_total.
func (h *Handler) Start(context.Context) error {
	for _, block := range h.env.Instance.Blocks() {
		for i, link := range block.Handlers {
			if link == plugin.Handler(h) && i+1 < len(block.Handlers) {
				h.next = block.Handlers[i+1].Name()
			}
		}
	}
	return h.counters.registerRuntime(h.env.Metrics, h.runtime)
}

// Run shows the directives of the server block as enabled.
func (h *Handler) Run(ctx context.Context) error {
	h.counters.enable(h)
	defer h.counters.disable(h)
	<-ctx.Done()
	return nil
}

// Serve counts what the rest of the chain made of the query. The query is looked at before, since it may be rewritten.
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	s := newSample(x)
	err := x.Next(ctx)
	switch {
	case err != nil:
		s.rcode = dns.RcodeServerFailure
	case x.Reply.Made():
		s.rcode, s.written, s.response = x.Reply.Rcode(), 1, x.Reply.Len()
	}
	h.count(x, x.Zone, x.View, &s)
	return err
}

// Refused counts what no server block answered.
func (h *Handler) Refused(x *plugin.Exchange) {
	s := newSample(x)
	if x.Reply.Made() {
		s.rcode, s.response = x.Reply.Rcode(), x.Reply.Len()
	}
	h.count(x, dropped, "", &s)
}

func (h *Handler) count(x *plugin.Exchange, zone, view string, s *sample) {
	s.took = h.env.Now().Sub(x.Now)
	h.series(x.Server, zone, view).cells(x.Shard).add(s)
}

// series finds where to count. A server block has few zones and listeners, and their names come in as the same strings
// each time: comparing those is cheaper than hashing them.
func (h *Handler) series(server, zone, view string) *series {
	if routes := h.routes.Load(); routes != nil {
		for i := range *routes {
			if r := &(*routes)[i]; r.zone == zone && r.server == server && r.view == view {
				return r.series
			}
		}
	}
	return h.route(place{server, zone, view})
}

// route finds or makes the series of a zone on a listener, for the first query.
func (h *Handler) route(at place) *series {
	h.mu.Lock()
	defer h.mu.Unlock()
	var routes []route
	if have := h.routes.Load(); have != nil {
		routes = append(routes, *have...)
	}
	for _, r := range routes {
		if r.place == at {
			return r.series
		}
	}
	found := h.counters.series(at, h.next, h.env.Shards)
	routes = append(routes, route{place: at, series: found})
	h.routes.Store(&routes)
	return found
}
