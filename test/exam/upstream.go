package exam

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/test/world"
)

// scripted is a world's upstream that has bad days as well. What the first label begins with is how it answers:
//
//	slow     as a world's upstream does, but late        dead    not at all
//	eighty   with 80 addresses                           chain   with eight CNAMEs and an address
//	cut      by UDP with TC and nothing else
type scripted struct{}

const (
	lateness = 400 * time.Millisecond
	eighty   = 80
	links    = 8
)

// serveScripted runs one on loopback, over UDP and TCP on one port, until the test ends. It returns its address.
func serveScripted(t testing.TB) string {
	t.Helper()
	var tcp net.Listener
	var udp net.PacketConn
	for range 10 {
		var err error
		if tcp, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if udp, err = net.ListenPacket("udp4", tcp.Addr().String()); err == nil {
			break
		}
		tcp.Close()
	}
	for _, server := range []*dns.Server{
		{PacketConn: udp, Handler: scripted{}, UDPSize: dns.MaxMsgSize}, {Listener: tcp, Handler: scripted{}},
	} {
		ready, done := make(chan struct{}), make(chan error, 1)
		server.NotifyStartedFunc = func() { close(ready) }
		go func() { done <- server.ActivateAndServe() }()
		select {
		case <-ready:
		case err := <-done:
			t.Fatalf("upstream: %v", err)
		}
		t.Cleanup(func() {
			if err := server.Shutdown(); err != nil {
				t.Error(err)
			}
			<-done
		})
	}
	return tcp.Addr().String()
}

// ServeDNS answers one question, or does not.
func (scripted) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	reply := world.Upstream{}.Reply(q)
	_, udp := w.RemoteAddr().(*net.UDPAddr)
	name := q.Question[0].Name
	switch has := func(prefix string) bool { return strings.HasPrefix(strings.ToLower(name), prefix) }; {
	case has("dead"):
		return
	case has("slow"):
		<-time.After(lateness)
	case has("eighty") && q.Question[0].Qtype == dns.TypeA:
		reply.Answer = nil
		for i := range eighty {
			reply.Answer = append(reply.Answer, addressRecord(name, byte(i)))
		}
	case has("chain") && q.Question[0].Qtype == dns.TypeA:
		reply.Answer = nil
		for i := range links {
			target := fmt.Sprintf("link-%d.example.net.", i)
			reply.Answer = append(reply.Answer, &dns.CNAME{
				Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: uint32(20 - i)}, Target: target})
			name = target
		}
		reply.Answer = append(reply.Answer, addressRecord(name, 1))
	case has("cut") && udp:
		reply.Answer, reply.Ns, reply.Truncated = nil, nil, true
	}
	if udp {
		size := dns.MinMsgSize
		if opt := q.IsEdns0(); opt != nil {
			size = max(size, int(opt.UDPSize()))
		}
		cut := reply.Truncated
		reply.Truncate(size)
		reply.Truncated = reply.Truncated || cut
	}
	_ = w.WriteMsg(reply) // a client that went away is its own affair
}

func addressRecord(owner string, last byte) dns.RR {
	return &dns.A{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 25}, A: net.IPv4(198, 51, 100, last)}
}
