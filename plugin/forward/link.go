package forward

import (
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nameplane/nameplane/server/wire"
)

const (
	// leastRoom is what is read of a datagram, whatever the client takes.
	leastRoom = 4096
	// mostFlights bounds the queries under way on one link: with three quarters of the IDs free, finding one is quick
	// and guessing one is not.
	mostFlights = 1 << 14
	// lastLook is for reading what has come by the time that queries are given up: a process that gets no processor for a
	// while, as under a quota, finds the time over and the replies there, which a read past its deadline does not return.
	lastLook = 5 * time.Millisecond
)

// link is a socket or connection to an upstream. Any number of queries may be under way on it: replies find theirs by ID
// (RFC 7766, section 6.2.1.1: in whatever order). Its goroutine opens it, reads it, and ends with it.
type link struct {
	pool *pool
	room int          // bytes of the largest datagram; one more is read, to tell a larger one
	load atomic.Int32 // queries under way, for those who choose a link

	mu      sync.Mutex
	conn    net.Conn // nil until it is open; then the flights that wait are sent
	flights map[uint16]*flight
	scratch wire.Reply
	alarm   time.Time // when a read ends in vain at the latest; zero for never
	looking bool      // once more, for what came before the alarm
	queries int       // sent so far
	replies int       // received so far
	most    int       // as many queries are sent; 0 for any number
	opened  time.Time
	last    time.Time // when a query was sent
	retired bool      // takes no more queries, and closes after the last reply
	closed  bool
}

// send puts a query on the link that was chosen for it; false when that takes no more.
func (l *link) send(f *flight, now time.Time) bool {
	l.mu.Lock()
	if !l.takes(now) {
		l.load.Add(-1)
		l.mu.Unlock()
		return false
	}
	id := uint16(rand.Uint32())
	for l.flights[id] != nil {
		id = uint16(rand.Uint32())
	}
	f.setID(id)
	f.link, f.used = l, l.replies > 0
	l.flights[id] = f
	l.last = now
	l.queries++
	if l.queries == l.most {
		l.retired = true
	}
	conn := l.conn
	if conn != nil {
		l.wakeBy(f.deadline)
	}
	l.mu.Unlock()
	if conn != nil {
		if err := l.write(conn, f); err != nil {
			l.fail(err)
		}
	}
	return true
}

// takes tells whether the link may carry another query. l.mu is held.
func (l *link) takes(now time.Time) bool {
	p := l.pool
	old := p.maxAge > 0 && now.Sub(l.opened) > p.maxAge
	if !l.retired && (old || l.queries > 0 && len(l.flights) == 0 && now.Sub(l.last) > p.expire) {
		l.retire()
	}
	return !l.retired && len(l.flights) < mostFlights
}

// write sends one query. A connection whose peer takes nothing must not hold the sender for ever.
func (l *link) write(conn net.Conn, f *flight) error {
	if l.pool.datagrams() {
		_, err := conn.Write(f.frame[2:])
		return err
	}
	if err := conn.SetWriteDeadline(f.deadline); err != nil {
		return err
	}
	_, err := conn.Write(f.frame)
	return err
}

// wakeBy makes the reading goroutine look at its flights at a time, or earlier. l.mu is held.
func (l *link) wakeBy(t time.Time) {
	if l.alarm.IsZero() || t.Before(l.alarm) {
		l.alarm = t
		_ = l.conn.SetReadDeadline(t) // fails only on a closed one, whose reading ends anyway
	}
}

// run is the link's goroutine.
func (l *link) run(deadline time.Time) {
	conn, err := l.pool.dial(deadline)
	if err != nil {
		l.fail(err)
		return
	}
	if !l.connected(conn) {
		return
	}
	if l.pool.datagrams() {
		l.readDatagrams(conn)
		return
	}
	l.readStream(conn)
}

// connected sends what waits for the connection.
func (l *link) connected(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = conn
	if l.closed {
		conn.Close()
		return false
	}
	for _, f := range l.flights {
		l.wakeBy(f.deadline)
		if err := l.write(conn, f); err != nil {
			l.end(err)
			return false
		}
	}
	l.settle()
	return !l.closed
}

func (l *link) readDatagrams(conn net.Conn) {
	buffer := make([]byte, l.room+1)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			if !l.awake(err) {
				return
			}
			continue
		}
		l.mu.Lock()
		l.deliver(buffer[:n])
		l.mu.Unlock()
	}
}

// readStream cuts a stream into frames. A read that ends in vain may end within a frame, so that bytes are collected
// until a frame is whole.
func (l *link) readStream(conn net.Conn) {
	in := stream{buffer: make([]byte, leastRoom)}
	for {
		n, err := conn.Read(in.space())
		if n > 0 {
			in.filled += n
			l.mu.Lock()
			for packet := in.next(); packet != nil; packet = in.next() {
				l.deliver(packet)
			}
			l.mu.Unlock()
			in.shift()
		}
		if err != nil && !l.awake(in.cause(err)) {
			return
		}
	}
}

// deliver gives a packet to the flight that it answers, if there is one. l.mu is held.
func (l *link) deliver(packet []byte) {
	if len(packet) >= headerSize {
		id := uint16(packet[0])<<8 | uint16(packet[1])
		if f := l.flights[id]; f != nil && f.take(packet, &l.scratch) {
			l.replies++
			l.remove(f)
			f.land(nil)
			l.settle()
			return
		}
	}
	l.pool.ignored.Inc()
}

// remove takes a flight off the list. l.mu is held.
func (l *link) remove(f *flight) {
	delete(l.flights, f.id())
	l.load.Add(-1)
}

// settle closes a link that has nothing more to do. l.mu is held.
func (l *link) settle() {
	if len(l.flights) == 0 && !l.closed && (l.retired || l.pool.crowded()) {
		l.end(net.ErrClosed)
	}
}

// awake is called after a read in vain: flights whose time is over end, and so does a link that was idle for long. It is
// false when the link is at its end.
func (l *link) awake(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		l.fail(err)
		return false
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.alarm = time.Time{}
	if l.looking = !l.looking; l.looking {
		l.wakeBy(now.Add(lastLook))
		return true
	}
	var next time.Time
	for _, f := range l.flights {
		if f.deadline.After(now) {
			if next.IsZero() || next.After(f.deadline) {
				next = f.deadline
			}
			continue
		}
		// Whatever keeps replies from coming back may be the link's own: a translation of addresses that leads to a
		// server that is gone is kept as long as the link is used.
		l.retired = true
		l.remove(f)
		f.land(l.timeout())
	}
	l.settle()
	if next.IsZero() {
		if next = l.last.Add(l.pool.expire); !next.After(now) {
			l.end(net.ErrClosed)
		}
	}
	if !l.closed {
		l.wakeBy(next)
	}
	return !l.closed
}

// timeout is the error of a query that was not answered, as package net spells it.
func (l *link) timeout() error {
	return &net.OpError{Op: "read", Net: l.conn.LocalAddr().Network(), Source: l.conn.LocalAddr(), Addr: l.conn.RemoteAddr(),
		Err: os.ErrDeadlineExceeded}
}

// forget ends a flight that nobody waits for any more; false when it has landed.
func (l *link) forget(f *flight) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.flights[f.id()] != f {
		return false
	}
	l.remove(f)
	l.settle()
	return true
}

// close retires the link.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retire()
}

// retire lets the link end with its last flight. l.mu is held.
func (l *link) retire() {
	l.retired = true
	l.settle()
}

// fail closes the link for an error, with all queries on it.
func (l *link) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end(err)
}

// end closes the link. l.mu is held.
func (l *link) end(err error) {
	if l.closed {
		return
	}
	l.closed, l.retired = true, true
	if l.conn != nil {
		l.conn.Close()
	}
	for _, f := range l.flights {
		l.remove(f)
		f.land(err)
	}
	l.pool.remove(l)
}
