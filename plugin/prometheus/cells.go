package prometheus

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
)

// families are the IP families in the order of their cells.
var families = [...]string{"1", "2"}

// types are the query types that are counted by name; all others are one.
var types = [...]uint16{
	dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeDNSKEY, dns.TypeDS, dns.TypeMX, dns.TypeNSEC3, dns.TypeNSEC, dns.TypeNS,
	dns.TypePTR, dns.TypeRRSIG, dns.TypeSOA, dns.TypeSRV, dns.TypeTXT, dns.TypeHTTPS, dns.TypeSVCB, dns.TypeIXFR,
	dns.TypeAXFR, dns.TypeANY,
}

const (
	otherType = len(types)

	// otherRcode counts response codes above the assigned ones (RFC 6895, section 2.3).
	otherRcode = dns.RcodeBadCookie + 1

	// cacheLine keeps the cells of two sockets from sharing a cache line, prefetched pairs included.
	cacheLine = 128
)

// typeIndex is the cell of each type that has one, all of which are below 256.
var typeIndex = func() (index [256]uint8) {
	for i := range index {
		index[i] = uint8(otherType)
	}
	for i, t := range types {
		index[t] = uint8(i)
	}
	return index
}()

func indexOfType(qtype uint16) int {
	if int(qtype) >= len(typeIndex) {
		return otherType
	}
	return int(typeIndex[qtype])
}

// The upper bounds of the buckets. Times are in nanoseconds: CoreDNS's bounds, 0.25 ms doubled 15 times, and our own, 1 µs
// doubled 20 times, in one list, so that one addition fills both histograms.
var (
	timeBounds   = slices.Sorted(slices.Values(append(doubled(250_000, 15), doubled(1_000, 20)...)))
	coreDNSTimes = doubled(250_000, 15)
	fineTimes    = doubled(1_000, 20)
	sizeBounds   = [...]int{0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16e3, 32e3, 48e3, 64e3}
)

const (
	timeBuckets = 16 + 21 + 1 // the last one is for what is above all bounds
	sizeBuckets = len(sizeBounds) + 1
)

func doubled(first int64, times int) (list []int64) {
	for i := range times + 1 {
		list = append(list, first<<i)
	}
	return list
}

// sample is what is counted of a query.
type sample struct {
	transport plugin.Transport
	family    int // index of families
	qtype     int // index of types
	do        bool
	request   int // bytes
	response  int // bytes
	rcode     int
	written   int // 1 if a directive made the reply, 0 if the server did or nobody
	took      time.Duration
}

func newSample(x *plugin.Exchange) sample {
	s := sample{transport: x.Transport, qtype: indexOfType(x.Query.Type), do: x.Query.EDNS.DO(), request: x.Query.Len()}
	if !x.Client.Addr().Is4() {
		s.family = 1
	}
	return s
}

// cells count the queries of one zone that came by one socket. They are atomic, since a query that waited is answered by
// another goroutine than the one that reads, but hardly ever contended.
type cells struct {
	_        [cacheLine]byte
	requests [2][len(families)][len(types) + 1]atomic.Uint64 // by transport, family and type
	rcodes   [2][otherRcode + 1]atomic.Uint64                // by whether a directive made the reply
	do       atomic.Uint64
	times    times
	sizes    [2]struct{ request, response sizes } // by transport
	_        [cacheLine]byte
}

type times struct {
	buckets [timeBuckets]atomic.Uint64
	nanos   atomic.Uint64
}

type sizes struct {
	buckets [sizeBuckets]atomic.Uint64
	bytes   atomic.Uint64
}

func (c *cells) add(s *sample) {
	c.requests[s.transport][s.family][s.qtype].Add(1)
	c.rcodes[s.written][min(s.rcode, otherRcode)].Add(1)
	if s.do {
		c.do.Add(1)
	}
	c.times.add(s.took)
	c.sizes[s.transport].request.add(s.request)
	c.sizes[s.transport].response.add(s.response)
}

func (t *times) add(took time.Duration) {
	took = max(took, 0) // a clock may be set back
	i, _ := slices.BinarySearch(timeBounds, int64(took))
	t.buckets[i].Add(1)
	t.nanos.Add(uint64(took))
}

func (s *sizes) add(bytes int) {
	i, _ := slices.BinarySearch(sizeBounds[:], bytes)
	s.buckets[i].Add(1)
	s.bytes.Add(uint64(bytes))
}
