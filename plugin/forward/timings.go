package forward

import (
	"math/bits"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
)

// Replies are counted in CoreDNS's buckets: the first ends at 250 µs, each of the others at twice the one before.
const (
	firstBucket = 250 * time.Microsecond
	buckets     = 16
)

// timings is how long upstreams took, by upstream and rcode. It shows one count under two names: that of CoreDNS's proxy,
// and those that its forward had before, which dashboards and alert rules still ask for.
type timings struct {
	proxy, forward, responses *prometheus.Desc

	mu     sync.Mutex
	series map[series]*timing
}

type series struct{ to, rcode string }

// timing counts the replies of one rcode of one upstream.
type timing struct {
	counts [buckets + 1]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
}

func newTimings() *timings {
	const help = "Time that an upstream took to answer."
	return &timings{
		proxy:     prometheus.NewDesc("coredns_proxy_request_duration_seconds", help, []string{"proxy_name", "to", "rcode"}, nil),
		forward:   prometheus.NewDesc("coredns_forward_request_duration_seconds", help, []string{"to", "rcode"}, nil),
		responses: prometheus.NewDesc("coredns_forward_responses_total", "Replies of an upstream.", []string{"to", "rcode"}, nil),
		series:    map[series]*timing{},
	}
}

// of is the timing of an upstream's replies with an rcode.
func (t *timings) of(to string, rcode int) *timing {
	text, ok := dns.RcodeToString[rcode]
	if !ok {
		text = strconv.Itoa(rcode)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := series{to: to, rcode: text}
	if t.series[key] == nil {
		t.series[key] = new(timing)
	}
	return t.series[key]
}

func (t *timing) observe(took time.Duration) {
	t.counts[bucket(took)].Add(1)
	t.sum.Add(int64(took))
}

// bucket is the first that ends at or behind a duration.
func bucket(took time.Duration) int {
	if took <= firstBucket {
		return 0
	}
	return min(bits.Len64(uint64((took-1)/firstBucket)), buckets)
}

// cumulative is the count of replies by the ends of buckets in seconds, each with those before it, and of all.
func (t *timing) cumulative() (by map[float64]uint64, all uint64) {
	by = make(map[float64]uint64, buckets)
	for i := range buckets {
		all += t.counts[i].Load()
		by[(firstBucket << i).Seconds()] = all
	}
	return by, all + t.counts[buckets].Load()
}

// Describe implements prometheus.Collector.
func (t *timings) Describe(ch chan<- *prometheus.Desc) {
	ch <- t.proxy
	ch <- t.forward
	ch <- t.responses
}

// Collect implements prometheus.Collector.
func (t *timings) Collect(ch chan<- prometheus.Metric) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s, timing := range t.series {
		by, all := timing.cumulative()
		sum := time.Duration(timing.sum.Load()).Seconds()
		ch <- prometheus.MustNewConstHistogram(t.proxy, all, sum, by, "forward", s.to, s.rcode)
		ch <- prometheus.MustNewConstHistogram(t.forward, all, sum, by, s.to, s.rcode)
		ch <- prometheus.MustNewConstMetric(t.responses, prometheus.CounterValue, float64(all), s.to, s.rcode)
	}
}
