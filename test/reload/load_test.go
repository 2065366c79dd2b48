package reload

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// patience is how long a reply may take before the query counts as lost.
const patience = 5 * time.Second

// asked is one kind of question, and what is wrong with a reply to it.
type asked struct {
	name   string
	qtype  uint16
	verify func(reply *dns.Msg) error
}

// questions are asked in turn; the answers may be those of any good Corefile, but of no other.
func questions() []asked {
	return []asked{
		{"my-nginx.default.svc.cluster.local.", dns.TypeA, oneAddress("127.96.191.194", true)},
		{"MY-nginx.default.svc.cluster.local.", dns.TypeA, oneAddress("127.96.191.194", true)},
		{"nothing.default.svc.cluster.local.", dns.TypeA, rcode(dns.RcodeNameError)},
		{"194.191.96.127.in-addr.arpa.", dns.TypePTR, func(m *dns.Msg) error {
			if len(m.Answer) != 1 || !strings.HasSuffix(m.Answer[0].String(), "\tmy-nginx.default.svc.cluster.local.") {
				return fmt.Errorf("no PTR")
			}
			return nil
		}},
		{"a.extra.example.", dns.TypeA, func(m *dns.Msg) error {
			if m.Rcode == dns.RcodeRefused && len(m.Answer) == 0 { // the zone is not there now
				return nil
			}
			return oneAddress("192.0.2.1", false)(m)
		}},
		{"a.forwarded.example.", dns.TypeA, oneAddress("192.0.2.9", false)},
		{"nobody.example.", dns.TypeA, rcode(dns.RcodeRefused)},
	}
}

func rcode(want int) func(*dns.Msg) error {
	return func(m *dns.Msg) error {
		if m.Rcode != want || len(m.Answer) != 0 {
			return fmt.Errorf("want %s", dns.RcodeToString[want])
		}
		return nil
	}
}

func oneAddress(want string, ttl bool) func(*dns.Msg) error {
	return func(m *dns.Msg) error {
		if m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 {
			return fmt.Errorf("want one address")
		}
		a, ok := m.Answer[0].(*dns.A)
		if !ok || a.A.String() != want {
			return fmt.Errorf("want %s", want)
		}
		if ttl && (a.Hdr.Ttl < firstTTL || a.Hdr.Ttl >= firstTTL+ttls) {
			return fmt.Errorf("TTL of no Corefile")
		}
		return nil
	}
}

// startUpstream answers slowly, by UDP and TCP, so that queries are under way there at every moment.
func startUpstream(t *testing.T) (port int) {
	t.Helper()
	const delay = 10 * time.Millisecond
	var (
		listener net.Listener
		socket   net.PacketConn
		err      error
	)
	for range 10 { // a port may be free for TCP, and not for UDP
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if socket, err = net.ListenPacket("udp", listener.Addr().String()); err == nil {
			break
		}
		listener.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		<-time.After(delay)
		reply := new(dns.Msg).SetReply(m)
		reply.Answer = []dns.RR{&dns.A{
			Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 5}, A: net.IPv4(192, 0, 2, 9)}}
		_ = w.WriteMsg(reply) // whoever closed the connection meanwhile asked for it; a client that misses the reply says so
	})
	var servers sync.WaitGroup
	for _, upstream := range []*dns.Server{{PacketConn: socket, Handler: handler}, {Listener: listener, Handler: handler, MaxTCPQueries: -1}} {
		servers.Go(func() { _ = upstream.ActivateAndServe() }) // it ends with its socket
	}
	t.Cleanup(func() {
		socket.Close()
		listener.Close()
		servers.Wait()
	})
	return listener.Addr().(*net.TCPAddr).Port
}

// load asks the program without a pause, each worker on a socket or connection of its own.
type load struct {
	t       *testing.T
	stop    chan struct{}
	workers sync.WaitGroup
	asked   atomic.Int64
	begun   time.Time
}

// startLoad begins to ask at a rate in queries a second.
func startLoad(t *testing.T, address string, rate int) *load {
	const byUDP, byTCP = 14, 2
	l := &load{t: t, stop: make(chan struct{}), begun: time.Now()}
	for i := range byUDP + byTCP {
		network := "udp"
		if i >= byUDP {
			network = "tcp"
		}
		conn, err := net.Dial(network, address)
		if err != nil {
			t.Fatal(err)
		}
		l.workers.Go(func() {
			defer conn.Close()
			if err := l.work(&dns.Conn{Conn: conn}, time.Second*(byUDP+byTCP)/time.Duration(rate), i); err != nil {
				t.Errorf("%s: query %d of all: %v", network, l.asked.Load(), err)
			}
		})
	}
	return l
}

// work asks once each interval; what was missed is made up for.
func (l *load) work(conn *dns.Conn, interval time.Duration, turn int) error {
	all := questions()
	for next := time.Now(); ; next = next.Add(interval) {
		if wait := time.Until(next); wait > 0 {
			select {
			case <-time.After(wait):
			case <-l.stop:
				return nil
			}
		}
		select {
		case <-l.stop:
			return nil
		default:
		}
		turn++
		q := all[turn%len(all)]
		if err := ask(conn, uint16(turn), q); err != nil {
			return fmt.Errorf("%s: %w", q.name, err)
		}
		l.asked.Add(1)
	}
}

// ask asks once, and never again: a query that is lost is what this is about.
func ask(conn *dns.Conn, id uint16, q asked) error {
	m := new(dns.Msg).SetQuestion(q.name, q.qtype)
	m.Id = id
	conn.SetDeadline(time.Now().Add(patience))
	if err := conn.WriteMsg(m); err != nil {
		return err
	}
	packet, err := conn.ReadMsgHeader(nil)
	if err != nil {
		return fmt.Errorf("lost: %w", err)
	}
	reply := new(dns.Msg)
	if err := reply.Unpack(packet); err != nil {
		return err
	}
	switch {
	case binary.BigEndian.Uint16(packet) != id:
		return fmt.Errorf("the reply has the ID of another query")
	case len(reply.Question) != 1 || reply.Question[0].Name != q.name:
		return fmt.Errorf("the reply is to another question: %v", reply.Question)
	}
	if err := q.verify(reply); err != nil {
		return fmt.Errorf("%w, got\n%s", err, reply)
	}
	return nil
}

// end ends the load and returns how many queries were answered, and how many a second that were.
func (l *load) end() (total int64, rate float64) {
	close(l.stop)
	l.workers.Wait()
	return l.asked.Load(), float64(l.asked.Load()) / time.Since(l.begun).Seconds()
}
