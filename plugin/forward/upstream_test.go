package forward

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

// query is what a scripted upstream got, and how it answers.
type query struct {
	packet []byte
	proto  string
	from   net.Addr
	number int // of this transport, from 0
	send   func(packet []byte)
	cut    func(packet []byte) // TCP: send without a length, then close
}

// msg is the query as a message.
func (q *query) msg() *dns.Msg {
	m := new(dns.Msg)
	if err := m.Unpack(q.packet); err != nil {
		panic(err) // a query that our own code sent
	}
	return m
}

// reply is a reply of these records.
func (q *query) reply(rcode int, records ...string) *dns.Msg {
	m := new(dns.Msg).SetRcode(q.msg(), rcode)
	m.RecursionAvailable, m.Compress = true, true
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			panic(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	return m
}

func packed(m *dns.Msg) []byte {
	packet, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return packet
}

// answer sends one address.
func (q *query) answer() {
	q.send(packed(q.reply(dns.RcodeSuccess, q.msg().Question[0].Name+" 30 IN A 192.0.2.1")))
}

// server is a scripted upstream on loopback, by UDP and TCP on one port.
type server struct {
	addr string

	mu      sync.Mutex
	script  func(q *query)
	queries map[string]int      // by transport
	ports   map[string][]string // the clients' addresses, by transport
	conns   []net.Conn
	names   []string
}

func newServer(t testing.TB, script func(q *query)) *server {
	t.Helper()
	s := &server{script: script, queries: map[string]int{}, ports: map[string][]string{}}
	for try := 0; ; try++ {
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		tcp, err := net.Listen("tcp", udp.LocalAddr().String())
		if err != nil {
			udp.Close()
			if try == 20 {
				t.Fatal(err)
			}
			continue
		}
		s.addr = udp.LocalAddr().String()
		t.Cleanup(func() {
			udp.Close()
			tcp.Close()
			s.closeConns()
		})
		go s.serveUDP(udp)
		go s.serveTCP(tcp)
		return s
	}
}

func (s *server) serveUDP(c net.PacketConn) {
	buf := make([]byte, dns.MaxMsgSize)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		s.handle(&query{packet: slices.Clone(buf[:n]), proto: "udp", from: from, send: func(packet []byte) {
			_, _ = c.WriteTo(packet, from)
		}})
	}
}

func (s *server) serveTCP(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns = append(s.conns, c)
		s.mu.Unlock()
		go s.serveConn(c)
	}
}

func (s *server) serveConn(c net.Conn) {
	defer c.Close()
	for {
		var length [2]byte
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return
		}
		packet := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(c, packet); err != nil {
			return
		}
		s.handle(&query{packet: packet, proto: "tcp", from: c.RemoteAddr(), send: func(packet []byte) {
			_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...))
		}, cut: func(packet []byte) {
			_, _ = c.Write(packet)
			c.Close()
		}})
	}
}

func (s *server) handle(q *query) {
	s.mu.Lock()
	q.number = s.queries[q.proto]
	s.queries[q.proto]++
	s.ports[q.proto] = append(s.ports[q.proto], q.from.String())
	s.names = append(s.names, q.msg().Question[0].String())
	script := s.script
	s.mu.Unlock()
	script(q)
}

func (s *server) closeConns() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}

func (s *server) behave(script func(q *query)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = script
}

func (s *server) count(proto string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queries[proto]
}

// clients are the addresses that queries came from, in their order.
func (s *server) clients(proto string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ports[proto])
}

func (s *server) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.names)
}

func answerAll(q *query) { q.answer() }

func silent(*query) {}

// deadAddress is one where nothing listens.
func deadAddress(t testing.TB) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().String()
}

// built is the handler of "forward LINE", with its environment; options stand in lines of their own.
func built(t testing.TB, line string, options ...string) (*Handler, *plugin.Env, *block.Buffer) {
	t.Helper()
	log := new(block.Buffer)
	env := block.NewEnv(log)
	text := fmt.Sprintf(".:53 {\n forward %s {\n%s\n}\n}\n", line, strings.Join(options, "\n"))
	h, err := Spec().Build(env, block.Lines(t, text, "forward"))
	if err != nil {
		t.Fatal(err)
	}
	handler := h.(*Handler)
	t.Cleanup(func() { _ = handler.Close() })
	return handler, env, log
}

// only is the first upstream of the first line.
func only(h *Handler) *upstream { return (*h.forwards[0].upstreams.Load())[0] }

// count is the number of links that queries may go out by.
func (p *pool) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// ask sends a query for name through h; the end of the chain answers REFUSED.
func ask(t testing.TB, h *Handler, name string) (*dns.Msg, error) {
	t.Helper()
	return send(t, h, block.NewExchange(t, name, dns.TypeA))
}

func send(t testing.TB, h *Handler, x *plugin.Exchange) (*dns.Msg, error) {
	t.Helper()
	if err := block.Serve(x, h, block.Reply(dns.RcodeRefused)); err != nil {
		return nil, err
	}
	return block.Answer(t, x), nil
}

func mustAsk(t testing.TB, h *Handler, name string) *dns.Msg {
	t.Helper()
	m, err := ask(t, h, name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// eventually waits until ok is true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come about that %s", what)
		}
		select {
		case <-t.Context().Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}
