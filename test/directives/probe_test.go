package directives

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/test/peer"
)

// probe is one message to both servers, for what a name and a type do not say.
type probe struct {
	name     string // of the zone or case, for the log
	question string // "NAME TYPE"
	class    uint16 // IN where it is 0
	size     uint16 // of an OPT record, if it is not 0
	do       bool
	options  []dns.EDNS0
	norec    bool // RD is not set
	tcp      bool
	six      bool // to [::1]
	silent   bool // neither is to reply
	serials  bool // those of SOA records do not count
	// differs are the parts, with spaces between, that differ for a reason that the directive's README gives: always, or
	// when CoreDNS's reply is such.
	differs string
	when    func(theirs *dns.Msg) bool
}

func (p *probe) msg() *dns.Msg {
	name, qtype, _ := strings.Cut(p.question, " ")
	m := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.StringToType[qtype])
	m.Id, m.RecursionDesired = 4711, !p.norec // the same for both
	m.Question[0].Qclass = max(p.class, dns.ClassINET)
	if p.size > 0 {
		m.SetEdns0(p.size, p.do)
		m.IsEdns0().Option = p.options
	}
	return m
}

// ask is the reply; nil for none. A silent one is waited for only once, and not long.
func (p *probe) ask(server string) *dns.Msg {
	client := dns.Client{Net: "udp", Timeout: 3 * time.Second, UDPSize: dns.MaxMsgSize}
	tries := 3 // loopback loses packets when a buffer is full
	if p.tcp {
		client.Net = "tcp"
	}
	if p.silent {
		client.Timeout, tries = 300*time.Millisecond, 1
	}
	if p.six {
		_, port, _ := net.SplitHostPort(server)
		server = net.JoinHostPort("::1", port)
	}
	for range tries {
		if reply, _, err := client.Exchange(p.msg(), server); err == nil {
			return p.blanked(reply)
		}
	}
	return nil
}

// blanked is the reply without what does not count.
func (p *probe) blanked(reply *dns.Msg) *dns.Msg {
	for _, section := range [][]dns.RR{reply.Answer, reply.Ns} {
		for _, rr := range section {
			if soa, ok := rr.(*dns.SOA); ok && p.serials {
				soa.Serial = 0
			}
		}
	}
	return reply
}

// comparePeers starts both servers with one Corefile and puts all probes to them. A declared difference has to be one.
func comparePeers(t *testing.T, corefile string, probes []probe) {
	t.Helper()
	peer.E2E(t)
	compareProbes(t, peer.StartCoreDNS(t, corefile), peer.StartNameplane(t, corefile), probes)
}

func compareProbes(t *testing.T, theirs, ours string, probes []probe) {
	t.Helper()
	agreed, declared := 0, 0
	for _, p := range probes {
		a, b := p.ask(theirs), p.ask(ours)
		if p.when != nil && (a == nil || !p.when(a)) {
			p.differs = ""
		}
		var parts, known []string
		for _, part := range Differences(a, b) {
			name, _, _ := strings.Cut(part, ":")
			if strings.Contains(" "+p.differs+" ", " "+name+" ") {
				known = append(known, name)
				continue
			}
			parts = append(parts, part)
		}
		switch {
		case (a == nil) != p.silent || (b == nil) != p.silent:
			t.Errorf("%s: replies are CoreDNS %v, Nameplane %v; none: %v", p.label(), a, b, p.silent)
		case len(parts) > 0:
			t.Errorf("%s:\n%s", p.label(), strings.Join(parts, "\n"))
		case len(known) < len(strings.Fields(p.differs)):
			t.Errorf("%s: %s differs, declared is %s", p.label(), known, p.differs)
		case len(known) > 0:
			declared++
		default:
			agreed++
		}
	}
	t.Logf("%d probes: %d replies agree, %d differ as declared", len(probes), agreed, declared)
}

func (p *probe) label() string {
	return fmt.Sprintf("%s: %s size %d do %v tcp %v six %v", p.name, p.question, p.size, p.do, p.tcp, p.six)
}

// cross is every question in every way.
func cross(name string, questions []string, ways ...probe) (all []probe) {
	for _, question := range questions {
		for _, p := range ways {
			p.name, p.question = name, question
			all = append(all, p)
		}
	}
	return all
}

// usual are the ways that clients ask in.
func usual() []probe {
	return []probe{{}, {size: 1232}, {size: 4096, do: true}, {size: 1232, tcp: true}, {norec: true}}
}

// serveDNS is an upstream of both servers.
func serveDNS(t *testing.T, handler dns.HandlerFunc) string {
	t.Helper()
	stream, packets, err := listenBoth()
	for range 10 { // the UDP port of that number may be another's
		if err == nil {
			break
		}
		stream, packets, err = listenBoth()
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: handler, UDPSize: dns.MaxMsgSize}, {Listener: stream, Handler: handler}} {
		ready, done := make(chan struct{}), make(chan error, 1)
		s.NotifyStartedFunc = func() { close(ready) }
		go func() { done <- s.ActivateAndServe() }()
		select {
		case <-ready:
		case err := <-done:
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Shutdown(); err != nil {
				t.Error(err)
			}
			<-done
		})
	}
	return packets.LocalAddr().String()
}

func listenBoth() (net.Listener, net.PacketConn, error) {
	stream, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	packets, err := net.ListenPacket("udp4", stream.Addr().String())
	if err != nil {
		stream.Close()
		return nil, nil, err
	}
	return stream, packets, nil
}
