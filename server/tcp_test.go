package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Queries may be pipelined, and a slow one does not hold up those behind it (RFC 7766, sections 6.2.1.1 and 7).
func TestPipelining(t *testing.T) {
	t.Parallel()
	g := newGate()
	r := start(t, ". {\n bind 127.0.0.1\n gate\n answer x\n}", Options{}, g.double().spec())
	conn := r.dial()
	ask := func(id uint16, name string) {
		m := new(dns.Msg).SetQuestion(name, dns.TypeA)
		m.Id = id
		sendFrame(t, conn.Conn, m)
	}
	ask(1, "slow.wait.")
	<-g.arrived
	for id := uint16(2); id < 50; id++ {
		ask(id, fmt.Sprintf("q%d.", id))
	}
	for id := uint16(2); id < 50; id++ {
		got, err := conn.ReadMsg()
		if err != nil {
			t.Fatal(err)
		}
		if got.Id != id || got.Question[0].Name != fmt.Sprintf("q%d.", id) || text(got) != "x" {
			t.Fatalf("reply %d: %s", id, got)
		}
	}
	close(g.open)
	if got, err := conn.ReadMsg(); err != nil || got.Id != 1 {
		t.Errorf("%v %v", got, err)
	}
}

// All queries that came together are answered, whatever pieces they came in.
func TestFragments(t *testing.T) {
	t.Parallel()
	r := start(t, ". {\n bind 127.0.0.1\n answer x\n}", Options{})
	conn := r.dial()
	var stream []byte
	for id := range uint16(30) {
		m := new(dns.Msg).SetQuestion("a.", dns.TypeA)
		m.Id = id
		packet, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		stream = append(binary.BigEndian.AppendUint16(stream, uint16(len(packet))), packet...)
	}
	for len(stream) > 0 {
		n := min(len(stream), 1+len(stream)%7)
		if _, err := conn.Conn.Write(stream[:n]); err != nil {
			t.Fatal(err)
		}
		stream = stream[n:]
	}
	for id := range uint16(30) {
		if got, err := conn.ReadMsg(); err != nil || got.Id != id {
			t.Fatalf("%d: %v %v", id, got, err)
		}
	}
}

// Past the bound of queries that wait, a connection is not read: nothing is lost, and all are answered later.
func TestWaitingOfOneConnection(t *testing.T) {
	t.Parallel()
	g := newGate()
	r := start(t, ". {\n bind 127.0.0.1\n gate\n answer x\n}", Options{}, g.double().spec())
	conn := r.dial()
	const extra = 20
	for id := range uint16(maxWaiting + extra) {
		m := new(dns.Msg).SetQuestion("a.wait.", dns.TypeA)
		m.Id = id
		sendFrame(t, conn.Conn, m)
	}
	for range maxWaiting {
		<-g.arrived
	}
	select {
	case <-g.arrived:
		t.Error("one more was read")
	case <-time.After(50 * time.Millisecond):
	}
	close(g.open)
	seen := map[uint16]bool{}
	for range maxWaiting + extra {
		got, err := conn.ReadMsg()
		if err != nil {
			t.Fatal(err)
		}
		seen[got.Id] = true
	}
	if len(seen) != maxWaiting+extra {
		t.Errorf("%d different replies", len(seen))
	}
	eventually(t, "no query waits", func() bool { return r.waiters.n.Load() == 0 })
}

// A client that closes its side still gets the replies to what it asked.
func TestHalfClose(t *testing.T) {
	t.Parallel()
	g := newGate()
	r := start(t, ". {\n bind 127.0.0.1\n gate\n answer x\n}", Options{}, g.double().spec())
	conn := r.dial()
	sendFrame(t, conn.Conn, new(dns.Msg).SetQuestion("a.wait.", dns.TypeA))
	<-g.arrived
	if err := conn.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	close(g.open)
	if got, err := conn.ReadMsg(); err != nil || text(got) != "x" {
		t.Errorf("%v %v", got, err)
	}
	if _, err := conn.Conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection stays open: %v", err)
	}
	eventually(t, "no connections", func() bool { return r.metric("nameplane_tcp_connections") == 0 })
}

// Connections that are held open for nothing keep nobody out: the one that has been idle longest goes.
func TestEviction(t *testing.T) {
	t.Parallel()
	g := newGate()
	r := start(t, ". {\n bind 127.0.0.1\n gate\n answer x\n}", Options{Connections: 3}, g.double().spec())
	busy := r.dial()
	sendFrame(t, busy.Conn, new(dns.Msg).SetQuestion("a.wait.", dns.TypeA))
	<-g.arrived
	open := func(n float64) {
		eventually(t, fmt.Sprintf("%v connections", n), func() bool { return r.metric("nameplane_tcp_connections") == n })
	}
	slow := r.dial()
	open(2)
	if _, err := slow.Conn.Write([]byte{0}); err != nil { // half a length
		t.Fatal(err)
	}
	used := r.dial()
	open(3)
	sendFrame(t, used.Conn, new(dns.Msg).SetQuestion("a.", dns.TypeA))
	if _, err := used.ReadMsg(); err != nil {
		t.Fatal(err)
	}
	if got := text(r.ask("tcp", "a.", dns.TypeA)); got != "x" {
		t.Error(got)
	}
	if _, err := slow.Conn.Read(make([]byte, 1)); err == nil {
		t.Error("the idle connection is still open")
	}
	sendFrame(t, used.Conn, new(dns.Msg).SetQuestion("b.", dns.TypeA))
	if got, err := used.ReadMsg(); err != nil || got.Question[0].Name != "b." {
		t.Errorf("the used connection: %v %v", got, err)
	}
	close(g.open)
	if got, err := busy.ReadMsg(); err != nil || text(got) != "x" {
		t.Errorf("the busy connection: %v %v", got, err)
	}
	if n := r.metric("nameplane_tcp_evicted_total"); n < 1 {
		t.Errorf("nameplane_tcp_evicted_total is %v", n)
	}
}

// A flood of connections without a query pushes out its own, not those of clients that asked something before.
func TestEvictionOfTheMute(t *testing.T) {
	t.Parallel()
	r := start(t, ". {\n bind 127.0.0.1\n answer x\n}", Options{Connections: 8})
	var known [4]*dns.Conn
	for i := range known {
		known[i] = r.dial()
		sendFrame(t, known[i].Conn, new(dns.Msg).SetQuestion("a.", dns.TypeA))
		if _, err := known[i].ReadMsg(); err != nil {
			t.Fatal(err)
		}
	}
	const flood = 40
	for range flood {
		r.dial()
	}
	eventually(t, "the flood was taken", func() bool { return r.metric("nameplane_tcp_evicted_total") == flood-4 })
	for i, conn := range known {
		sendFrame(t, conn.Conn, new(dns.Msg).SetQuestion("b.", dns.TypeA))
		if got, err := conn.ReadMsg(); err != nil || text(got) != "x" {
			t.Errorf("connection %d: %v %v", i, got, err)
		}
	}
}

// A message as long as TCP can carry comes through.
func TestLongestMessages(t *testing.T) {
	t.Parallel()
	r := start(t, ". {\n bind 127.0.0.1\n answer x\n}", Options{})
	conn := r.dial()
	m := new(dns.Msg).SetQuestion("a.", dns.TypeA)
	m.SetEdns0(1232, false)
	m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_PADDING{Padding: make([]byte, 65535-19-11-4)})
	if m.Len() != dns.MaxMsgSize {
		t.Fatalf("the test's message has %d bytes", m.Len())
	}
	sendFrame(t, conn.Conn, m)
	if got, err := conn.ReadMsg(); err != nil || text(got) != "x" {
		t.Errorf("%v %v", got, err)
	}
}
