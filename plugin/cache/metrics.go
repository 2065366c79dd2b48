package cache

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
)

// counter is one of the numbers that are counted.
type counter int

// A query is counted once: as a hit of a class, as a miss, or as one that live data answered.
const (
	hitsPositive counter = iota
	hitsNegative
	misses
	live
	prefetches
	drops
	staleServed
	evictionsPositive
	evictionsNegative
	counterNum
)

func hitsOf(c class) counter { return hitsPositive + counter(c) }

// evictionsOf takes an index over classes.
func evictionsOf(c int) counter { return evictionsPositive + counter(c) }

// counters are what one socket's goroutine counts; it fills cache lines of its own.
type counters struct {
	n [counterNum]atomic.Uint64
	_ [128 - 8*counterNum]byte
}

func (c *counters) inc(which counter) { c.n[which].Add(1) }

func (c *counters) add(which counter, n int) {
	if n > 0 {
		c.n[which].Add(uint64(n))
	}
}

// labels are those of CoreDNS; the view is that of the directive view.
type labels struct{ server, zones, view string }

// account is what was counted under the same labels since the process started, over reloads.
type account struct {
	shards []counters
	stores []*store // guarded by collector.mu; the last one counts
}

func (a *account) total(which ...counter) float64 {
	sum := uint64(0)
	for i := range a.shards {
		for _, w := range which {
			sum += a.shards[i].n[w].Load()
		}
	}
	return float64(sum)
}

// meters are the accounts of one directive: one for each listener of its block.
type meters struct {
	collector *collector
	servers   []string
	zones     string
	shards    int
	accounts  []*account
}

func newMeters(env *plugin.Env, zones plugin.Zones) (*meters, error) {
	c, err := plugin.Register(env.Metrics, newCollector())
	if err != nil {
		return nil, err
	}
	names := make([]string, len(zones))
	for i, zone := range zones {
		names[i] = zone.String()
	}
	return &meters{collector: c, servers: env.Servers, zones: strings.Join(names, ","), shards: env.Shards}, nil
}

// open makes the accounts, which are those of a view.
func (m *meters) open(view string) {
	for _, server := range m.servers {
		m.accounts = append(m.accounts, m.collector.account(labels{server: server, zones: m.zones, view: view}, m.shards))
	}
}

// of is where to count for x.
func (m *meters) of(x *plugin.Exchange) *counters {
	for i, server := range m.servers {
		if server == x.Server {
			return &m.accounts[i].shards[x.Shard]
		}
	}
	return &m.accounts[0].shards[x.Shard]
}

// attach shows a store's size; until detach, or until another one is attached.
func (m *meters) attach(s *store) {
	m.collector.mu.Lock()
	defer m.collector.mu.Unlock()
	for _, a := range m.accounts {
		a.stores = append(a.stores, s)
	}
}

// detach takes back one attach, if there was one.
func (m *meters) detach(s *store) {
	m.collector.mu.Lock()
	defer m.collector.mu.Unlock()
	for _, a := range m.accounts {
		if i := slices.Index(a.stores, s); i >= 0 {
			a.stores = slices.Delete(a.stores, i, i+1)
		}
	}
}

// collector shows the accounts of all cache directives. Numbers are summed up when they are asked for.
type collector struct {
	mu       sync.Mutex
	accounts map[labels]*account // guarded by mu
	descs    []*prometheus.Desc
}

// figure is a metric that sums up counters, or shows two, those of the classes.
type figure struct {
	name, help string
	byClass    bool
	counters   []counter
}

// figures are CoreDNS's counters, and one of ours.
func figures() []figure {
	return []figure{
		{"coredns_cache_requests_total", "The count of cache requests.", false, []counter{hitsPositive, hitsNegative, misses, live}},
		{"coredns_cache_hits_total", "The count of cache hits.", true, []counter{hitsPositive, hitsNegative}},
		{"coredns_cache_misses_total", "The count of cache misses. Deprecated, derive misses from cache hits/requests counters.", false, []counter{misses, live}},
		{"coredns_cache_prefetch_total", "The number of times the cache has prefetched a cached item.", false, []counter{prefetches}},
		{"coredns_cache_drops_total", "The number of replies that are not cached, because they answer another question.", false, []counter{drops}},
		{"coredns_cache_served_stale_total", "The number of requests served from stale cache entries.", false, []counter{staleServed}},
		{"coredns_cache_evictions_total", "The count of cache evictions.", true, []counter{evictionsPositive, evictionsNegative}},
		{"nameplane_cache_live_total", "The count of misses answered from live data, which is never cached.", false, []counter{live}},
	}
}

func newCollector() *collector {
	c := &collector{accounts: map[labels]*account{}}
	plain, typed := []string{"server", "zones", "view"}, []string{"server", "type", "zones", "view"}
	for _, f := range figures() {
		names := plain
		if f.byClass {
			names = typed
		}
		c.descs = append(c.descs, prometheus.NewDesc(f.name, f.help, names, nil))
	}
	c.descs = append(c.descs,
		prometheus.NewDesc("coredns_cache_entries", "The number of elements in the cache.", typed, nil),
		prometheus.NewDesc("nameplane_cache_bytes", "The number of bytes that the elements in the cache take, about.", plain, nil))
	return c
}

func (c *collector) account(l labels, shards int) *account {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.accounts[l] == nil {
		c.accounts[l] = &account{shards: make([]counters, max(1, shards))}
	}
	return c.accounts[l]
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for l, a := range c.accounts {
		for n, f := range figures() {
			f.collect(out, c.descs[n], l, a)
		}
		c.collectSize(out, l, a)
	}
}

func (f *figure) collect(out chan<- prometheus.Metric, d *prometheus.Desc, l labels, a *account) {
	if !f.byClass {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, a.total(f.counters...), l.server, l.zones, l.view)
		return
	}
	for class := range classes {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, a.total(f.counters[class]), l.server, class.String(), l.zones, l.view)
	}
}

// collectSize shows the size of the store in use; a directive that is gone has none.
func (c *collector) collectSize(out chan<- prometheus.Metric, l labels, a *account) {
	if len(a.stores) == 0 {
		return
	}
	s := a.stores[len(a.stores)-1]
	entries, bytes := c.descs[len(c.descs)-2], c.descs[len(c.descs)-1]
	for class := range classes {
		out <- prometheus.MustNewConstMetric(entries, prometheus.GaugeValue, float64(s.entries[class].Load()), l.server, class.String(), l.zones, l.view)
	}
	out <- prometheus.MustNewConstMetric(bytes, prometheus.GaugeValue, float64(s.bytes.Load()), l.server, l.zones, l.view)
}
