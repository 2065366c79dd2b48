package forward

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// mostQueries is how many queries a UDP socket serves: each new socket has another source port, which a forger would
// have to guess (RFC 5452, section 4.5), and must not have the time to find out.
const mostQueries = 100

// pool keeps an upstream's idle sockets or connections, the oldest in front. That one is taken first, so that successive
// queries come from different ports.
type pool struct {
	network      string // "udp" or "tcp"
	addr         netip.AddrPort
	expire       time.Duration
	hits, misses prometheus.Counter

	mu     sync.Mutex
	idle   []*conn
	closed bool
}

type conn struct {
	net.Conn
	since   time.Time // when it was last used
	queries int
}

func newPool(network, to string, expire time.Duration, m *metrics) *pool {
	return &pool{
		network: network, addr: netip.MustParseAddrPort(to), expire: expire,
		hits:   m.cacheHits.WithLabelValues("forward", to, network),
		misses: m.cacheMisses.WithLabelValues("forward", to, network),
	}
}

// get is an idle connection, or a new one; used tells which.
func (p *pool) get(deadline time.Time) (c *conn, used bool, err error) {
	if c := p.take(time.Now()); c != nil {
		p.hits.Inc()
		return c, true, nil
	}
	c, err = p.dial(deadline)
	return c, false, err
}

// take is the oldest idle connection that has not expired; those that have are closed.
func (p *pool) take(now time.Time) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		c := p.idle[0]
		p.idle[0] = nil
		p.idle = p.idle[1:]
		if now.Sub(c.since) <= p.expire {
			return c
		}
		c.Close()
	}
	return nil
}

func (p *pool) dial(deadline time.Time) (*conn, error) {
	p.misses.Inc()
	if p.network == "udp" {
		c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(p.addr))
		if err != nil {
			return nil, err
		}
		return &conn{Conn: c}, nil
	}
	dialer := net.Dialer{Deadline: deadline}
	c, err := dialer.Dial(p.network, p.addr.String())
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c}, nil
}

// put gives a connection back after a reply.
func (p *pool) put(c *conn) {
	c.since = time.Now()
	c.queries++
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.network == "udp" && c.queries >= mostQueries {
		c.Close()
		return
	}
	p.idle = append(p.idle, c)
}

// sweep closes what expired.
func (p *pool) sweep(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.idle) && now.Sub(p.idle[n].since) > p.expire {
		p.idle[n].Close()
		n++
	}
	p.idle = append([]*conn(nil), p.idle[n:]...)
}

// close closes what is idle now, and what comes back later.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		c.Close()
	}
	p.idle = nil
}
