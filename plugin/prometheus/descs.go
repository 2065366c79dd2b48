package prometheus

import (
	"strconv"
	"sync/atomic"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
)

// descs are the metrics of queries.
type descs struct {
	requests, times, requestSize, responseSize, do, responses *prometheus.Desc
	enabled, build, fineTimes                                 *prometheus.Desc
}

func newDescs() descs {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return descs{
		requests:     desc("coredns_dns_requests_total", "Number of queries.", "server", "zone", "view", "proto", "family", "type"),
		times:        desc("coredns_dns_request_duration_seconds", "Time from reading a query to its reply.", "server", "zone", "view"),
		requestSize:  desc("coredns_dns_request_size_bytes", "Size of queries.", "server", "zone", "view", "proto"),
		responseSize: desc("coredns_dns_response_size_bytes", "Size of replies, without an OPT record and before truncation.", "server", "zone", "view", "proto"),
		do:           desc("coredns_dns_do_requests_total", "Number of queries with the DO bit.", "server", "zone", "view"),
		responses:    desc("coredns_dns_responses_total", "Number of replies.", "server", "zone", "view", "rcode", "plugin"),
		enabled:      desc("coredns_plugin_enabled", "The directives of server blocks that are counted.", "server", "zone", "view", "name"),
		build:        desc("coredns_build_info", "What the program was built of.", "version", "revision", "goversion"),
		fineTimes:    desc("nameplane_dns_request_duration_seconds", "Time from reading a query to its reply, in microseconds' buckets.", "server", "zone", "view"),
	}
}

func (d *descs) all() []*prometheus.Desc {
	return []*prometheus.Desc{
		d.requests, d.times, d.requestSize, d.responseSize, d.do, d.responses, d.enabled, d.build, d.fineTimes,
	}
}

// collect shows a series. Counters that are still zero are left out, as CoreDNS does.
func (d *descs) collect(s *series, out chan<- prometheus.Metric) {
	counter := func(desc *prometheus.Desc, n uint64, labels ...string) {
		if n > 0 {
			out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), labels...)
		}
	}
	for _, transport := range [...]plugin.Transport{plugin.UDP, plugin.TCP} {
		for f, family := range families {
			for t := range len(types) + 1 {
				n := s.sum(func(c *cells) *atomic.Uint64 { return &c.requests[transport][f][t] })
				counter(d.requests, n, s.server, s.zone, s.view, transport.String(), family, typeName(t))
			}
		}
		d.collectSizes(s, transport, out)
	}
	for rcode := range otherRcode + 1 {
		server := s.sum(func(c *cells) *atomic.Uint64 { return &c.rcodes[0][rcode] })
		written := s.sum(func(c *cells) *atomic.Uint64 { return &c.rcodes[1][rcode] })
		if s.plugin == "" { // nothing tells them apart
			server, written = server+written, 0
		}
		counter(d.responses, server, s.server, s.zone, s.view, rcodeName(rcode), "")
		counter(d.responses, written, s.server, s.zone, s.view, rcodeName(rcode), s.plugin)
	}
	counter(d.do, s.sum(func(c *cells) *atomic.Uint64 { return &c.do }), s.server, s.zone, s.view)
	d.collectTimes(s, out)
}

func (d *descs) collectSizes(s *series, transport plugin.Transport, out chan<- prometheus.Metric) {
	proto := transport.String()
	for _, h := range [...]struct {
		desc *prometheus.Desc
		of   func(*cells) *sizes
	}{
		{d.requestSize, func(c *cells) *sizes { return &c.sizes[transport].request }},
		{d.responseSize, func(c *cells) *sizes { return &c.sizes[transport].response }},
	} {
		buckets, count := make(map[float64]uint64, len(sizeBounds)), uint64(0)
		for i := range sizeBuckets {
			count += s.sum(func(c *cells) *atomic.Uint64 { return &h.of(c).buckets[i] })
			if i < len(sizeBounds) {
				buckets[float64(sizeBounds[i])] = count
			}
		}
		if count == 0 {
			continue
		}
		bytes := s.sum(func(c *cells) *atomic.Uint64 { return &h.of(c).bytes })
		out <- prometheus.MustNewConstHistogram(h.desc, count, float64(bytes), buckets, s.server, s.zone, s.view, proto)
	}
}

func (d *descs) collectTimes(s *series, out chan<- prometheus.Metric) {
	upTo, count := make(map[int64]uint64, len(timeBounds)), uint64(0)
	for i := range timeBuckets {
		count += s.sum(func(c *cells) *atomic.Uint64 { return &c.times.buckets[i] })
		if i < len(timeBounds) {
			upTo[timeBounds[i]] = count
		}
	}
	if count == 0 {
		return
	}
	seconds := float64(s.sum(func(c *cells) *atomic.Uint64 { return &c.times.nanos })) / 1e9
	pick := func(bounds []int64) map[float64]uint64 {
		buckets := make(map[float64]uint64, len(bounds))
		for _, bound := range bounds {
			buckets[float64(bound)/1e9] = upTo[bound]
		}
		return buckets
	}
	out <- prometheus.MustNewConstHistogram(d.times, count, seconds, pick(coreDNSTimes), s.server, s.zone, s.view)
	out <- prometheus.MustNewConstHistogram(d.fineTimes, count, seconds, pick(fineTimes), s.server, s.zone, s.view)
}

func typeName(i int) string {
	if i == otherType {
		return "other"
	}
	return dns.Type(types[i]).String()
}

func rcodeName(rcode int) string {
	if rcode == otherRcode {
		return "other"
	}
	if name, known := dns.RcodeToString[rcode]; known {
		return name
	}
	return "RCODE" + strconv.Itoa(rcode)
}
