package prometheus

import (
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/nameplane/nameplane/plugin"
)

// counters are the counters of all server blocks, and the page that shows them. They live as long as the process: the
// registry hands those of the first Corefile to its successors.
type counters struct {
	page    http.Handler
	version string
	descs   descs

	mu      sync.Mutex // guards what follows
	list    []*series
	enabled []*Handler // those whose instance runs
	basic   prometheus.Collector
	full    bool // all that the Go runtime tells is registered, for good
}

func newCounters(env *plugin.Env) *counters {
	return &counters{page: promhttp.HandlerFor(env.Metrics, promhttp.HandlerOpts{}), version: env.Version, descs: newDescs()}
}

// ServeHTTP answers a scrape.
func (c *counters) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.page.ServeHTTP(w, r) }

// series finds or makes the series of a zone on a listener.
func (c *counters) series(at place, next string, shards int) *series {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.list {
		if s.place == at {
			s.plugin = next
			s.grow(shards)
			return s
		}
	}
	s := &series{place: at, plugin: next}
	s.grow(shards)
	c.list = append(c.list, s)
	return s
}

// enable shows the directives of h's server block in coredns_plugin_enabled.
func (c *counters) enable(h *Handler) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.enabled = append(c.enabled, h)
}

func (c *counters) disable(h *Handler) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.enabled = slices.DeleteFunc(c.enabled, func(have *Handler) bool { return have == h })
}

// registerRuntime registers what is known of process and Go runtime. There is one runtime for all server blocks, so full,
// once wanted, stays.
func (c *counters) registerRuntime(r *prometheus.Registry, full bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.basic == nil {
		if _, err := plugin.Register(r, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})); err != nil {
			return fmt.Errorf("cannot register the metrics of the process: %w", err)
		}
		var err error
		if c.basic, err = plugin.Register(r, collectors.NewGoCollector()); err != nil {
			return fmt.Errorf("cannot register the metrics of the Go runtime: %w", err)
		}
	}
	if !full || c.full {
		return nil
	}
	r.Unregister(c.basic)
	c.full = true
	return r.Register(collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.MetricsAll)))
}

// Describe implements prometheus.Collector.
func (c *counters) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range c.descs.all() {
		out <- desc
	}
}

// Collect implements prometheus.Collector.
func (c *counters) Collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.list {
		c.descs.collect(s, out)
	}
	c.collectEnabled(out)
	out <- prometheus.MustNewConstMetric(c.descs.build, prometheus.GaugeValue, 1, c.version, revision(), runtime.Version())
}

// collectEnabled shows every directive once: during a reload two instances run for a moment.
func (c *counters) collectEnabled(out chan<- prometheus.Metric) {
	type entry struct {
		place
		name string
	}
	seen := make(map[entry]bool)
	for _, h := range c.enabled {
		for _, block := range h.env.Instance.Blocks() {
			if !slices.Contains(block.Handlers, plugin.Handler(h)) {
				continue
			}
			for _, link := range block.Handlers {
				p := entry{place{block.Server, block.Zone, block.View}, link.Name()}
				if seen[p] {
					continue
				}
				seen[p] = true
				out <- prometheus.MustNewConstMetric(c.descs.enabled, prometheus.GaugeValue, 1, p.server, p.zone, p.view, p.name)
			}
		}
	}
}

// revision is the commit that the program was built of, empty where the build did not note it.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return ""
}
