package server

import (
	"bufio"
	"container/list"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

const (
	// maxWaiting bounds the queries of one connection that wait at a time; past it the connection is not read, so
	// that TCP itself slows the client down.
	maxWaiting = 128
	// The times are CoreDNS's, where the Corefile gives none: for the first query, between two, for a client to take a reply.
	firstTimeout = 3 * time.Second
	idleTimeout  = 10 * time.Second
	writeTimeout = 5 * time.Second
	// A query is some fifty bytes: that many come in by one system call, and their replies leave by one.
	connReadBuffer  = 1 << 10
	connWriteBuffer = 2 << 10
)

// tcpConn is a client's connection (RFC 7766): queries may be pipelined, and replies come in the order in which they
// are made. One goroutine reads and serves; where a query waits another one reads on.
type tcpConn struct {
	socket *tcpSocket
	conn   net.Conn
	below  net.Conn // what conn is TLS on, or conn itself: it is closed without a word, which never waits
	client netip.AddrPort
	local  netip.AddrPort
	shard  int
	mute   *list.Element // in the socket's list of that name, while there; the socket's
	used   atomic.Int64  // when the last whole query came in, Unix time in nanoseconds
	in     *bufio.Reader // the reading goroutine's
	count  int           // queries that came; the reading goroutine's

	waiting atomic.Int32 // queries under way without the reading goroutine; changed under mu
	mu      sync.Mutex
	out     *bufio.Writer // guarded by mu
	reading bool          // guarded by mu; some goroutine reads, or will
	paused  bool          // guarded by mu; the next query that ends is to read on
}

// frame is a query by TCP on its way, and its buffer.
type frame struct {
	plugin.Exchange
	conn   *tcpConn
	handed bool // the connection is another goroutine's
	packet []byte
}

func newTCPConn(s *tcpSocket, conn net.Conn, shard int) *tcpConn {
	c := &tcpConn{socket: s, conn: conn, below: conn, shard: shard, reading: true}
	if config := s.listener.tls; config != nil {
		c.conn = tls.Server(conn, config) // its first read shakes hands
	}
	c.in, c.out = bufio.NewReaderSize(c.conn, connReadBuffer), bufio.NewWriterSize(c.conn, connWriteBuffer)
	c.client, c.local = addrPort(conn.RemoteAddr()), addrPort(conn.LocalAddr())
	c.used.Store(time.Now().UnixNano())
	return c
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return unmap(tcp.AddrPort())
}

// stop ends reading.
func (c *tcpConn) stop() { c.conn.SetReadDeadline(time.Unix(1, 0)) }

// read serves the connection until there is nothing more to read, or until a query made it hand the connection on.
func (c *tcpConn) read() {
	f := &frame{conn: c}
	f.Shard, f.Transport, f.Client, f.Local = c.shard, plugin.TCP, c.client, c.local
	for c.receive(f) {
		c.serve(f)
		if f.handed && !c.resume(f) {
			return
		}
	}
	c.mu.Lock()
	c.flush() // where the connection may bring no more queries, replies may be left
	c.reading = false
	last := c.waiting.Load() == 0
	c.mu.Unlock()
	if last {
		c.close()
	}
}

// resume ends a query that had handed the connection on. It is true when this goroutine is to read on: the connection
// was not read any more since too many of its queries waited.
func (c *tcpConn) resume(f *frame) bool {
	f.handed = false
	c.socket.listener.waiters.leave()
	c.mu.Lock()
	left := c.waiting.Add(-1)
	again := c.paused
	c.paused = false
	last := left == 0 && !c.reading
	c.mu.Unlock()
	if last {
		c.close()
	}
	return again
}

func (c *tcpConn) close() {
	c.conn.Close()
	c.socket.remove(c)
}

// receive waits for a query; false when the connection ends.
func (c *tcpConn) receive(f *frame) bool {
	timeouts := c.timeouts()
	if timeouts.Queries > 0 && c.count >= timeouts.Queries {
		return false
	}
	if !c.buffered() {
		if c.count == 0 {
			c.conn.SetDeadline(time.Now().Add(timeouts.Read)) // a handshake writes as well
		} else {
			c.conn.SetReadDeadline(time.Now().Add(timeouts.Idle))
		}
		if c.socket.stopped.Load() { // stop's deadline may have been overwritten
			return false
		}
	}
	head, err := c.in.Peek(2)
	if err != nil {
		return false
	}
	size := int(binary.BigEndian.Uint16(head))
	if cap(f.packet) < size {
		f.packet = make([]byte, max(size, dns.MinMsgSize))
	}
	f.packet = f.packet[:size]
	c.in.Discard(2) // peeked
	if _, err := io.ReadFull(c.in, f.packet); err != nil {
		return false
	}
	if c.count++; c.count == 1 {
		c.socket.hear(c)
	}
	f.Now = c.socket.listener.options.Now()
	c.used.Store(time.Now().UnixNano())
	return true
}

func (c *tcpConn) timeouts() plugin.Timeouts { return c.socket.listener.table.Load().listen.Timeouts }

// buffered tells whether a whole query is read already.
func (c *tcpConn) buffered() bool {
	if c.in.Buffered() < 2 {
		return false
	}
	head, err := c.in.Peek(2)
	return err == nil && c.in.Buffered() >= 2+int(binary.BigEndian.Uint16(head))
}

func (c *tcpConn) serve(f *frame) {
	l := c.socket.listener
	t := l.enter(c.shard)
	defer t.leave(c.shard)
	reply := t.answer(l.ctx, &f.Exchange, f, f.packet)
	c.mu.Lock()
	defer c.mu.Unlock()
	if reply != nil {
		c.write(reply)
	}
	if f.handed || !c.buffered() {
		c.flush()
	}
}

// write puts a reply with those that are to be sent. One deadline is for all that leave together; a write that failed
// fails the flush as well. c.mu is held.
func (c *tcpConn) write(reply []byte) {
	c.conn.SetWriteDeadline(time.Now().Add(c.timeouts().Write))
	c.out.WriteByte(byte(len(reply) >> 8))
	c.out.WriteByte(byte(len(reply)))
	c.out.Write(reply)
}

// flush sends the replies. A client that does not take them is not worth waiting for again. c.mu is held.
func (c *tcpConn) flush() error {
	err := c.out.Flush()
	if err != nil {
		c.socket.listener.log.Debug("cannot send a reply", "client", c.client.String(), "error", err)
		c.below.Close()
	}
	return err
}

// Yield implements plugin.Host: another goroutine reads on, unless too many queries of the connection wait.
func (f *frame) Yield(*plugin.Exchange) error {
	if f.handed {
		return nil
	}
	c, l := f.conn, f.conn.socket.listener
	if err := l.waiters.enter(); err != nil {
		return err
	}
	f.handed = true
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush() // replies to earlier queries don't wait for this one
	if c.waiting.Add(1) >= maxWaiting {
		c.paused = true
		return nil
	}
	l.tasks.Go(c.read)
	return nil
}

// SendPart implements plugin.Sender.
func (f *frame) SendPart(x *plugin.Exchange) error {
	reply := x.Reply.Finish(&x.Query, x.Limit())
	c := f.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used.Store(time.Now().UnixNano()) // it is not idle
	c.write(reply)
	return c.flush()
}

// Resolve implements plugin.Host.
func (f *frame) Resolve(ctx context.Context, x *plugin.Exchange, name wire.Name, qtype uint16) (*dns.Msg, error) {
	return f.conn.socket.listener.resolve(ctx, x, name, qtype)
}
