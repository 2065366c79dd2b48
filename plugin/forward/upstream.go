package forward

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nameplane/nameplane/server/wire"
)

// endpoint is where an upstream is.
type endpoint struct {
	addr   netip.AddrPort
	tls    bool
	server string // whom its certificate must be for; empty for what the line says, or else the address
}

// upstream is one name server, with its links and what is known of its health.
type upstream struct {
	endpoint
	to          string // "10.0.0.2:53", as metrics label it
	udp, tcp    *pool  // the same for one by TLS
	flights     *flights
	readTimeout time.Duration
	meter       *meter
	rtt         rtt
	log         *slog.Logger

	check       check
	maxFails    uint32
	fails       atomic.Uint32 // health checks failed since the last good one
	suspected   atomic.Bool   // a health check is under way or wanted
	suspects    chan<- *upstream
	closing     sync.Once
	quarantined atomic.Bool   // its answers are our own: see plugin.Upstream
	gone        chan struct{} // closed once nobody asks the upstream any more
}

// newUpstream is an upstream of a line. It opens nothing.
func (f *forward) newUpstream(e endpoint) *upstream {
	to := e.addr.String()
	u := &upstream{
		endpoint: e, to: to, flights: &f.flights, readTimeout: f.readTimeout, meter: newMeter(f.metrics, to), log: f.log,
		check: f.check, maxFails: uint32(f.maxFails), suspects: f.suspects, gone: make(chan struct{}),
	}
	tcp := dialTo("tcp", e.addr, f.source)
	if e.tls {
		u.tcp = newPool("tcp-tls", to, dialTLS(tcp, f.tlsFor(e)), &f.settings, f.metrics)
		u.udp = u.tcp
		return u
	}
	u.tcp = newPool("tcp", to, tcp, &f.settings, f.metrics)
	u.udp = newPool("udp", to, dialTo("udp", e.addr, f.source), &f.settings, f.metrics)
	return u
}

// tlsFor is the configuration for one upstream.
func (s *settings) tlsFor(e endpoint) *tls.Config {
	config := s.tls.Clone()
	switch {
	case s.serverName != "":
		config.ServerName = s.serverName
	case e.server != "":
		config.ServerName = e.server
	default:
		config.ServerName = e.addr.Addr().WithZone("").String()
	}
	return config
}

// pool is that of a transport.
func (u *upstream) pool(tcp bool) *pool {
	if tcp {
		return u.tcp
	}
	return u.udp
}

// send puts a query on its way. Of a UDP reply the client takes limit bytes.
func (u *upstream) send(q *wire.Query, tcp bool, limit int, now, deadline time.Time) *flight {
	if end := now.Add(u.readTimeout); end.Before(deadline) {
		deadline = end
	}
	p := u.pool(tcp)
	if !p.datagrams() {
		limit = maxMessage
	}
	f := u.flights.get(q, limit, deadline)
	u.meter.requests.Inc()
	p.send(f, now)
	return f
}

const maxMessage = 0xffff // RFC 1035, section 4.2.2

// again sends a flight once more that failed only because the upstream had closed the connection, which shows when it is
// used; false where that is not so.
func (u *upstream) again(f *flight, tcp bool) bool {
	if !f.used || f.twice || !closedByPeer(f.err) {
		return false
	}
	f.twice, f.err = true, nil
	u.pool(tcp).send(f, time.Now())
	return true
}

func closedByPeer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}

// abandon gives up a flight that may still be under way, and takes it back.
func (u *upstream) abandon(f *flight) {
	if !f.link.forget(f) {
		<-f.landed
	}
	u.flights.put(f)
}

// close closes the links, each after the replies that it waits for, and ends health checks.
func (u *upstream) close() {
	u.closing.Do(func() {
		close(u.gone)
		u.udp.close()
		u.tcp.close()
	})
}
