package forward

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		transport plugin.Transport
		most      int // links for a hundred queries, one after the other
	}{
		{transport: plugin.UDP, most: udpWidth + 1}, // each is left after 100 to 200
		{transport: plugin.TCP, most: 1},
	} {
		t.Run(c.transport.String(), func(t *testing.T) {
			t.Parallel()
			s := newServer(t, answerAll)
			h, env, _ := built(t, ". "+s.addr)
			for range 100 {
				x := block.NewExchange(t, "www.example.org.", dns.TypeA)
				x.Transport = c.transport
				if _, err := send(t, h, x); err != nil {
					t.Fatal(err)
				}
			}
			clients := s.clients(c.transport.String())
			slices.Sort(clients)
			ports := len(slices.Compact(clients))
			if ports > c.most {
				t.Errorf("%d source ports, want at most %d", ports, c.most)
			}
			labels := map[string]string{"proxy_name": "forward", "to": s.addr, "proto": c.transport.String()}
			hits, misses := value(t, env, "coredns_proxy_conn_cache_hits_total", labels), value(t, env, "coredns_proxy_conn_cache_misses_total", labels)
			if hits != float64(100-ports) || misses != float64(ports) {
				t.Errorf("%v hits and %v misses with %d ports", hits, misses, ports)
			}
		})
	}
}

// TestSourcePortsChange: several ports are open at a time, and none for long (RFC 5452, section 10).
func TestSourcePortsChange(t *testing.T) {
	t.Parallel()
	const queries = 4000
	s := newServer(t, answerAll)
	h, _, _ := built(t, ". "+s.addr)
	for range queries {
		mustAsk(t, h, "www.example.org.")
	}
	by := map[string]int{}
	for _, client := range s.clients("udp") {
		by[client]++
	}
	if len(by) < queries/(2*leastQueries) {
		t.Errorf("%d source ports for %d queries", len(by), queries)
	}
	for client, n := range by {
		if n > 2*leastQueries {
			t.Errorf("%d queries from %s, want at most %d", n, client, 2*leastQueries)
		}
	}
	early := s.clients("udp")[:100]
	slices.Sort(early)
	if n := len(slices.Compact(early)); n < udpWidth/2 {
		t.Errorf("the first hundred queries came from %d ports", n)
	}
}

func TestIDsAreOurOwn(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[uint16]bool{}
	s := newServer(t, func(q *query) {
		mu.Lock()
		seen[binary.BigEndian.Uint16(q.packet)] = true
		mu.Unlock()
		q.answer()
	})
	h, _, _ := built(t, ". "+s.addr)
	for range 60 {
		x := block.FromMsg(t, &dns.Msg{MsgHdr: dns.MsgHdr{Id: 7}, Question: []dns.Question{{Name: "a.", Qtype: 1, Qclass: 1}}})
		if m, err := send(t, h, x); err != nil || m.Id != 7 {
			t.Fatalf("%v, %v", m, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) < 50 {
		t.Errorf("%d IDs for 60 queries", len(seen))
	}
}

// A socket whose query went unanswered is not used again: the late reply would come to the next query.
func TestLateReply(t *testing.T) {
	t.Parallel()
	s := newServer(t, silent)
	h, _, _ := built(t, ". "+s.addr, "read_timeout 250ms")
	if _, err := ask(t, h, "late.example.org."); err == nil {
		t.Fatal("no error")
	}
	s.behave(answerAll)
	before := s.clients("udp")
	mustAsk(t, h, "www.example.org.")
	if after := s.clients("udp"); slices.Contains(before, after[len(after)-1]) {
		t.Errorf("%s is used again after %v", after[len(after)-1], before)
	}
}

// A connection that the upstream closed meanwhile costs no attempt.
func TestClosedConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	s := newServer(t, answerAll)
	h, _, _ := built(t, ". "+s.addr, "force_tcp")
	for range 3 {
		mustAsk(t, h, "www.example.org.")
		s.closeConns()
	}
	if got := only(h).fails.Load(); got != 0 || only(h).doubtful() {
		t.Error("the upstream is suspected")
	}
	if n := s.count("tcp"); n != 3 {
		t.Errorf("%d queries arrived, want 3", n)
	}
}

// An idle link is closed when its time is over, whether anything is sent or not.
func TestExpire(t *testing.T) {
	t.Parallel()
	for _, transport := range []plugin.Transport{plugin.UDP, plugin.TCP} {
		t.Run(transport.String(), func(t *testing.T) {
			t.Parallel()
			s := newServer(t, answerAll)
			h, _, _ := built(t, ". "+s.addr, "expire 50ms", "read_timeout 1s")
			p := only(h).pool(transport == plugin.TCP)
			for range 2 {
				x := block.NewExchange(t, "www.example.org.", dns.TypeA)
				x.Transport = transport
				if _, err := send(t, h, x); err != nil {
					t.Fatal(err)
				}
				if p.count() != 1 {
					t.Fatalf("%d links", p.count())
				}
				eventually(t, "the idle link is closed", func() bool { return p.count() == 0 })
			}
			if a := s.clients(transport.String()); len(a) != 2 || a[0] == a[1] {
				t.Errorf("queries came from %v", a)
			}
		})
	}
}

func TestMaxAge(t *testing.T) {
	t.Parallel()
	s := newServer(t, answerAll)
	h, _, _ := built(t, ". "+s.addr, "force_tcp", "expire 1ms", "max_age 30ms")
	p := only(h).tcp
	p.expire = time.Hour
	mustAsk(t, h, "www.example.org.")
	eventually(t, "the connection is replaced", func() bool {
		mustAsk(t, h, "www.example.org.")
		clients := s.clients("tcp")
		return clients[len(clients)-1] != clients[0]
	})
	eventually(t, "the old connection is closed", func() bool { return p.count() <= 1 })
}

func TestMaxIdle(t *testing.T) {
	t.Parallel()
	gather := make(chan *query, 10)
	s := newServer(t, func(q *query) { gather <- q })
	h, _, _ := built(t, ". "+s.addr, "force_tcp", "max_idle_conns 2")
	var clients sync.WaitGroup
	for i := range 6 {
		clients.Go(func() { mustAsk(t, h, fmt.Sprintf("n%d.example.org.", i)) })
	}
	var held []*query
	for range 6 {
		held = append(held, <-gather)
	}
	if n := only(h).tcp.count(); n != 6 {
		t.Errorf("%d connections for 6 queries at once", n)
	}
	for _, q := range held {
		q.answer()
	}
	clients.Wait()
	eventually(t, "two connections are left", func() bool { return only(h).tcp.count() == 2 })
}

// lateConn is a socket that is first read when the time for a reply is over; the reply is there.
type lateConn struct {
	net.Conn
	reply chan []byte
	reads int
}

func (c *lateConn) Write(packet []byte) (int, error) {
	reply := slices.Clone(packet)
	reply[2] |= 0x80 // QR
	c.reply <- reply
	return len(packet), nil
}

func (c *lateConn) Read(buffer []byte) (int, error) {
	if c.reads++; c.reads == 1 {
		return 0, os.ErrDeadlineExceeded
	}
	return copy(buffer, <-c.reply), nil
}

func (c *lateConn) SetReadDeadline(time.Time) error { return nil }
func (c *lateConn) Close() error                    { return nil }

// A reply that came in time counts, even if nobody had the time to read it.
func TestLateReader(t *testing.T) {
	t.Parallel()
	h, _, _ := built(t, ". 192.0.2.1")
	only(h).udp.dial = func(time.Time) (net.Conn, error) { return &lateConn{reply: make(chan []byte, 1)}, nil }
	now := time.Now()
	x := block.NewExchange(t, "www.example.org.", dns.TypeA)
	f := only(h).send(&x.Query, false, dns.MinMsgSize, now, now.Add(-time.Second))
	if <-f.landed; f.err != nil {
		t.Error(f.err)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	s := newServer(t, answerAll)
	h, _, _ := built(t, ". "+s.addr)
	mustAsk(t, h, "www.example.org.")
	for range 2 {
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := only(h).udp.count(); n != 0 {
		t.Errorf("%d links are left", n)
	}
	mustAsk(t, h, "www.example.org.") // one that was late
	if n := only(h).udp.count(); n != 0 {
		t.Errorf("%d links are kept after Close", n)
	}
}
