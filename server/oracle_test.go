package server

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// oracle is miekg/dns's own server with a handler like CoreDNS's: what it does with a packet is what CoreDNS does.
func oracle(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	srv := &dns.Server{PacketConn: conn, UDPSize: maxDatagram, NotifyStartedFunc: func() { close(started) },
		Handler: dns.HandlerFunc(oracleReply)}
	done := make(chan error, 1)
	go func() { done <- srv.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		srv.Shutdown()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return conn.LocalAddr().String()
}

// oracleReply does what CoreDNS's server does around its plugins, the plugin being "answer x".
func oracleReply(w dns.ResponseWriter, r *dns.Msg) {
	if len(r.Question) == 0 {
		m := new(dns.Msg)
		m.SetRcode(r, dns.RcodeServerFailure)
		w.WriteMsg(m)
		return
	}
	m := new(dns.Msg)
	opt := r.IsEdns0()
	switch {
	case r.Question[0].Qclass != dns.ClassINET:
		m.SetRcode(r, dns.RcodeRefused)
	case opt != nil && opt.Version() != 0:
		m.SetReply(r)
		m.Rcode = dns.RcodeBadVers
		opt = &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
	default:
		m.SetReply(r)
		m.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: r.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 5}, Txt: []string{"x"}}}
	}
	if opt != nil {
		opt.SetVersion(0)
		opt.Hdr.Ttl &= 0xff00
		opt.Option = nil
		m.Extra = []dns.RR{opt}
	}
	w.WriteMsg(m)
}

// rawClient sends packets, and behind each a marker that is always answered: so silence costs little waiting. UDP keeps
// its order on loopback for one flow, but the oracle serves each packet in its own goroutine: replies are told apart by
// their ID.
type rawClient struct {
	t    *testing.T
	conn net.Conn
}

const markerID = 0xfffe

func dialRaw(t *testing.T, addr string) *rawClient {
	t.Helper()
	conn, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &rawClient{t: t, conn: conn}
}

// reply is what comes back for a packet within a moment after the marker's reply; nil for nothing.
func (c *rawClient) reply(packet []byte, patience time.Duration) []byte {
	c.t.Helper()
	marker, err := (&dns.Msg{MsgHdr: dns.MsgHdr{Id: markerID}, Question: []dns.Question{{Name: "marker.", Qtype: dns.TypeA, Qclass: dns.ClassINET}}}).Pack()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, p := range [][]byte{packet, marker} {
		if _, err := c.conn.Write(p); err != nil {
			c.t.Fatal(err)
		}
	}
	var got []byte
	buf := make([]byte, 65536)
	marked := false
	c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	for got == nil || !marked {
		n, err := c.conn.Read(buf)
		if err != nil {
			if marked {
				return got
			}
			c.t.Fatalf("%x: %v", packet, err)
		}
		if n >= 2 && binary.BigEndian.Uint16(buf) == markerID {
			marked = true
			c.conn.SetReadDeadline(time.Now().Add(patience))
			continue
		}
		if len(packet) >= 2 && bytes.Equal(buf[:2], packet[:2]) { // else it is late, and an earlier packet's
			got = bytes.Clone(buf[:n])
		}
	}
	return got
}

// packets are queries and what is left of them after an accident.
func packets(t *testing.T) [][]byte {
	t.Helper()
	pack := func(m *dns.Msg) []byte {
		p, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	plain := pack(new(dns.Msg).SetQuestion("My-svc.ns.SVC.cluster.local.", dns.TypeA))
	edns := new(dns.Msg).SetQuestion("a.example.", dns.TypeAAAA)
	edns.SetEdns0(1232, true)
	withOPT := pack(edns)
	update := new(dns.Msg).SetUpdate("example.")
	signed := new(dns.Msg).SetQuestion("a.example.", dns.TypeA)
	signed.SetTsig("key.", dns.HmacSHA256, 300, 1)
	ixfr := new(dns.Msg).SetIxfr("example.", 1, "ns.", "mail.")
	notify := new(dns.Msg).SetNotify("example.")
	list := [][]byte{{}, plain, withOPT, pack(update), pack(signed), pack(ixfr), pack(notify)}
	for _, whole := range [][]byte{plain, withOPT, pack(ixfr)} { // cut after every byte
		for n := range whole {
			list = append(list, whole[:n])
		}
	}
	for section := range 4 { // counts that lie
		for _, n := range []uint16{0, 1, 2, 3, 65535} {
			for _, whole := range [][]byte{plain, withOPT} {
				p := bytes.Clone(whole)
				binary.BigEndian.PutUint16(p[4+2*section:], n)
				list = append(list, p)
			}
		}
	}
	for bits := range 16 { // every opcode, every flag
		opcode, flag := bytes.Clone(plain), bytes.Clone(withOPT)
		opcode[2] = byte(bits) << 3
		binary.BigEndian.PutUint16(flag[2:], binary.BigEndian.Uint16(flag[2:])^1<<bits)
		list = append(list, opcode, flag)
	}
	header := plain[:12]
	for _, name := range [][]byte{
		{0xc0, 12},                      // a pointer to itself
		{0xc0, 14, 0xc0, 12},            // a loop of two
		{1, 'a', 0xc0, 12},              // a loop through a label
		{0xc0, 0xff}, {0xc0}, {0xc0, 0}, // out of the packet, cut, into the header
		{0x40, 'a', 0}, {0x80, 0}, {63, 'a', 0}, // reserved kinds of labels, a label that is cut
		bytes.Repeat([]byte{1, 'a'}, 130),
		append(bytes.Repeat([]byte{1, 'a'}, 127), 0), // 255 bytes: the longest
		append(bytes.Repeat([]byte{1, 'a'}, 128), 0), // 257 bytes
		{3, 'a', '.', 'b', 0}, {2, 0, 255, 0}, {0},
	} {
		p := append(bytes.Clone(header), name...)
		list = append(list, p, append(p[:len(p):len(p)], 0, 1, 0, 1))
	}
	return append(list, mutants(plain, withOPT)...)
}

// mutants are packets with some bytes changed, and noise. The seed is fixed, so that a failure can be repeated.
func mutants(seeds ...[]byte) (list [][]byte) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 1500 {
		p := bytes.Clone(seeds[i%len(seeds)])
		for range 1 + random.IntN(4) {
			p[2+random.IntN(len(p)-2)] = byte(random.Uint32())
		}
		list = append(list, p)
	}
	for range 300 {
		p := make([]byte, random.IntN(60))
		for i := range p {
			p[i] = byte(random.Uint32())
		}
		list = append(list, p)
	}
	return list
}

// normal is a reply as it is compared: order and compression don't count.
func normal(packet []byte) string {
	if packet == nil {
		return "no reply"
	}
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		return fmt.Sprintf("unreadable reply: %v", err)
	}
	if opt := m.IsEdns0(); opt != nil {
		opt.Option = nil // which come back is a matter of options, not of what is accepted
	}
	return m.String()
}

// Whatever comes in, the reply or the silence is that of miekg/dns's server.
func TestPacketsAgainstMiekg(t *testing.T) {
	t.Parallel()
	r := start(t, ". {\n bind 127.0.0.1\n answer x\n}", Options{Shards: 1})
	theirs, ours := dialRaw(t, oracle(t)), dialRaw(t, r.addr("127.0.0.1"))
	for i, packet := range packets(t) {
		if len(packet) >= 2 {
			binary.BigEndian.PutUint16(packet, uint16(i))
		}
		// The oracle may still be at the packet when the marker is answered; our one socket keeps the order.
		want := normal(theirs.reply(packet, 3*time.Millisecond))
		got := normal(ours.reply(packet, time.Millisecond))
		if got != want { // or the machine is busy
			want, got = normal(theirs.reply(packet, time.Second)), normal(ours.reply(packet, time.Second))
		}
		if got != want {
			t.Errorf("packet %x\nours:   %s\ntheirs: %s", packet, got, want)
		}
	}
}

// The same packets by TCP: nothing ends the connection, and a whole query behind them is answered.
func TestPacketsByTCP(t *testing.T) {
	t.Parallel()
	r := start(t, ". {\n bind 127.0.0.1\n answer x\n}", Options{})
	conn := r.dial()
	for i, packet := range packets(t) {
		if len(packet) >= 2 {
			binary.BigEndian.PutUint16(packet, uint16(i))
		}
		if _, err := conn.Conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)); err != nil {
			t.Fatal(err)
		}
		marker := new(dns.Msg).SetQuestion("marker.", dns.TypeA)
		marker.Id = markerID
		sendFrame(t, conn.Conn, marker)
		for {
			got, err := conn.ReadMsg()
			if err != nil {
				t.Fatalf("after %x: %v", packet, err)
			}
			if got.Id == markerID {
				break
			}
		}
	}
}
