package forward

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// width is the number of links that a pool keeps open.
const (
	udpWidth    = 8
	streamWidth = 16
)

// A UDP socket carries between leastQueries and twice as many: each new one has another source port, and how often it
// changes must not be known either.
const leastQueries = 100

// pool keeps the links to an upstream by one transport.
//
// A query by UDP goes out on a link chosen at random. To have a reply believed, a forger has to hit one of the open ports
// and the ID on it, and the question; the ports are the system's choice, which on Linux is random, and each is left after
// at most 200 queries or a query without a reply (RFC 5452, sections 9.2 and 10).
//
// A query on a connection goes out on an idle one, then on a new one, and only with the pool full behind others: there are
// servers that answer one query after the other, and a slow one holds up those behind it.
type pool struct {
	network      string // "udp", "tcp" or "tcp-tls", as metrics label it
	width        int
	dial         dialer
	expire       time.Duration
	maxAge       time.Duration // 0 for any
	maxIdle      int           // 0 for any number
	hits, misses prometheus.Counter
	ignored      prometheus.Counter

	mu     sync.Mutex
	links  []*link
	closed bool
}

func newPool(network, to string, dial dialer, s *settings, m *metrics) *pool {
	p := &pool{
		network: network, width: streamWidth, dial: dial, expire: s.expire, maxAge: s.maxAge, maxIdle: s.maxIdle,
		hits:    m.cacheHits.WithLabelValues("forward", to, network),
		misses:  m.cacheMisses.WithLabelValues("forward", to, network),
		ignored: m.ignored.WithLabelValues(to),
	}
	if p.datagrams() {
		p.width = udpWidth
	}
	return p
}

func (p *pool) datagrams() bool { return p.network == "udp" }

// send puts a query on some link. It does not wait: what keeps it from being sent, the flight tells.
func (p *pool) send(f *flight, now time.Time) {
	for {
		l, known := p.choose(f, now)
		if !known {
			go l.run(f.deadline) // whatever comes of it: others may have sent by it already
		}
		if !l.send(f, now) {
			p.remove(l)
			continue
		}
		if known {
			p.hits.Inc()
		} else {
			p.misses.Inc()
		}
		return
	}
}

// choose is a link for a query, which counts as under way on it from now on; known tells that it is not new.
func (p *pool) choose(f *flight, now time.Time) (l *link, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { l.load.Add(1) }()
	if p.datagrams() && f.limit > leastRoom { // rare enough to be given a socket of its own
		return p.newLink(f.limit, 1, now), false
	}
	if p.closed {
		return p.newLink(leastRoom, 1, now), false
	}
	if l := p.open(); l != nil {
		return l, true
	}
	most := 0
	if p.datagrams() {
		most = leastQueries + rand.IntN(leastQueries+1)
	}
	l = p.newLink(leastRoom, most, now)
	p.links = append(p.links, l)
	return l, false
}

// open is a link that is there already; nil when a new one is wanted. p.mu is held.
func (p *pool) open() *link {
	if p.datagrams() {
		if i := rand.IntN(p.width); i < len(p.links) {
			return p.links[i]
		}
		return nil
	}
	var least *link
	for _, l := range p.links {
		if least == nil || l.load.Load() < least.load.Load() {
			least = l
		}
	}
	if least != nil && least.load.Load() > 0 && len(p.links) < p.width {
		return nil
	}
	return least
}

func (p *pool) newLink(room, most int, now time.Time) *link {
	return &link{pool: p, room: room, most: most, opened: now, last: now, flights: make(map[uint16]*flight)}
}

// remove takes a link off the list, which takes no more queries.
func (p *pool) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.links, l); i >= 0 {
		p.links = slices.Delete(p.links, i, i+1)
	}
}

// crowded tells whether more links are idle than may be.
func (p *pool) crowded() bool {
	if p.maxIdle == 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := 0
	for _, l := range p.links {
		if l.load.Load() == 0 {
			idle++
		}
	}
	return idle > p.maxIdle
}

// close closes the links once their queries are answered. Later queries get links of their own.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	links := slices.Clone(p.links)
	p.mu.Unlock()
	for _, l := range links {
		l.close()
	}
}
