package forward

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nameplane/nameplane/plugin"
)

// upstream is one name server, with its sockets and what is known of its health.
type upstream struct {
	to          string // "10.0.0.2:53", as metrics label it
	udp, tcp    *pool
	flights     sync.Pool // of *flight
	readTimeout time.Duration
	meter       *meter
	log         *slog.Logger

	check     check
	maxFails  uint32
	fails     atomic.Uint32 // health checks failed since the last good one
	suspected chan struct{} // holds one when a health check is wanted
}

func newUpstream(to string, s *settings, m *metrics, log *slog.Logger) *upstream {
	return &upstream{
		to:  to,
		udp: newPool("udp", to, s.expire, m), tcp: newPool("tcp", to, s.expire, m),
		readTimeout: s.readTimeout, meter: newMeter(m, to), log: log,
		check: s.check, maxFails: uint32(s.maxFails), suspected: make(chan struct{}, 1),
	}
}

// ask sends x's query and makes the upstream's reply x's.
func (u *upstream) ask(x *plugin.Exchange, tcp bool, deadline time.Time) error {
	start := time.Now()
	if end := start.Add(u.readTimeout); end.Before(deadline) {
		deadline = end
	}
	u.meter.requests.Inc()
	room := roomFor(x.Query.MaxReply())
	f := u.newFlight(x.Query.Packet(), room, deadline)
	defer u.land(f)
	f.take = func(packet []byte) error { return take(x, packet, room, tcp) }
	if err := u.fly(f, tcp); err != nil {
		return err
	}
	u.meter.answered(x.Reply.Rcode(), time.Since(start))
	return nil
}

// take makes a packet x's reply. A UDP packet that is larger than its room was cut by the system: what is left of it
// says only that TCP is to be tried.
func take(x *plugin.Exchange, packet []byte, room int, tcp bool) error {
	if tcp || len(packet) <= room {
		return x.Reply.SetPacket(&x.Query, packet)
	}
	if !x.Query.AnsweredBy(packet) {
		return fmt.Errorf("%d bytes for another question", len(packet))
	}
	x.Reply.Start(&x.Query, int(packet[3]&0xf))
	x.Reply.SetTruncated(true)
	return nil
}

func (u *upstream) fly(f *flight, tcp bool) error {
	if tcp {
		return f.tcp(u.tcp)
	}
	return f.udp(u.udp)
}

func (u *upstream) sweep(now time.Time) {
	u.udp.sweep(now)
	u.tcp.sweep(now)
}

func (u *upstream) close() {
	u.udp.close()
	u.tcp.close()
}

// flight is one query on its way to an upstream, and what comes back.
type flight struct {
	frame    []byte // the query behind its length, as TCP sends it
	reply    []byte // room for what comes back
	deadline time.Time
	take     func(packet []byte) error // an error lets the flight wait on for another packet
}

const (
	// leastRoom is what is read of a UDP reply, whatever the client asked for.
	leastRoom = 4096
	// mostKept is the largest buffer that is kept for the next flight.
	mostKept = 8192
)

func roomFor(size int) int { return max(size, leastRoom) }

// newFlight makes a flight of a query, under a new ID: Go's generator is ChaCha8, seeded by the system, so that the next ID
// cannot be told from earlier ones (RFC 5452, section 4.5).
func (u *upstream) newFlight(query []byte, room int, deadline time.Time) *flight {
	f, ok := u.flights.Get().(*flight)
	if !ok {
		f = new(flight)
	}
	f.deadline = deadline
	f.frame = binary.BigEndian.AppendUint16(f.frame[:0], uint16(len(query)))
	f.frame = append(f.frame, query...)
	binary.BigEndian.PutUint16(f.frame[2:], uint16(rand.Uint32()))
	f.grow(room + 1) // one more, to tell a reply that was cut
	return f
}

func (f *flight) grow(n int) {
	if cap(f.reply) < n {
		f.reply = make([]byte, n)
	}
	f.reply = f.reply[:n]
}

// land keeps the buffers for another flight, unless they are large.
func (u *upstream) land(f *flight) {
	f.take = nil
	if cap(f.reply) <= mostKept && cap(f.frame) <= mostKept {
		u.flights.Put(f)
	}
}

// arrived tells whether a packet ends the flight.
func (f *flight) arrived(packet []byte) bool {
	return len(packet) >= headerSize && string(packet[:2]) == string(f.frame[2:4]) && f.take(packet) == nil
}

const headerSize = 12 // RFC 1035, section 4.1.1
