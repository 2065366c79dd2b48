// Package cacheexam compares the directive cache with CoreDNS's: both servers are asked the same questions at the same
// times, in front of upstreams that say the same and note what they were asked.
package cacheexam

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// replies are what an upstream says, by the name's first label: records in the order answer; authority; additional,
// sections parted by "/". A "$" is the name that was asked for.
var replies = map[string]string{
	"one":       "NOERROR ra: $ 300 A 192.0.2.1",
	"long":      "NOERROR ra: $ 86400 A 192.0.2.1",
	"brief":     "NOERROR ra: $ 1 A 192.0.2.1",
	"two":       "NOERROR ra: $ 2 A 192.0.2.1",
	"zero":      "NOERROR ra: $ 0 A 192.0.2.1",
	"huge":      "NOERROR ra: $ 4294967295 A 192.0.2.1",
	"aa":        "NOERROR aa,ra: $ 300 A 192.0.2.1",
	"ad":        "NOERROR ra,ad: $ 300 A 192.0.2.1",
	"mixed":     "NOERROR ra: $ 300 A 192.0.2.1; $ 40 A 192.0.2.2 / example.org. 900 NS ns.example.org. / ns.example.org. 20 A 192.0.2.9",
	"chain":     "NOERROR ra: $ 300 CNAME b.example.org.; b.example.org. 60 CNAME c.example.org.; c.example.org. 20 A 192.0.2.1",
	"backward":  "NOERROR ra: c.example.org. 20 A 192.0.2.1; b.example.org. 60 CNAME c.example.org.; $ 300 CNAME b.example.org.",
	"deadend":   "NOERROR ra: $ 300 CNAME b.example.org.",
	"deadsoa":   "NOERROR ra: $ 300 CNAME b.example.org. / example.org. 50 SOA ns. host. 1 2 3 4 5",
	"looping":   "NOERROR ra: $ 300 CNAME b.example.org.; b.example.org. 300 CNAME $",
	"forked":    "NOERROR ra: $ 300 CNAME b.example.org.; $ 300 CNAME c.example.org.; b.example.org. 300 A 192.0.2.1",
	"stranger":  "NOERROR ra: b.example.org. 300 A 192.0.2.1",
	"nothing":   "NOERROR ra:",
	"extra":     "NOERROR ra: / / $ 300 A 192.0.2.1",
	"referral":  "NOERROR: / example.org. 900 NS ns.example.org. / ns.example.org. 900 A 192.0.2.9",
	"nodata":    "NOERROR ra: / example.org. 300 SOA ns. host. 1 2 3 4 60",
	"nx":        "NXDOMAIN ra: / example.org. 300 SOA ns. host. 1 2 3 4 60",
	"nxlong":    "NXDOMAIN ra: / example.org. 86400 SOA ns. host. 1 2 3 4 86400",
	"nxbrief":   "NXDOMAIN ra: / example.org. 2 SOA ns. host. 1 2 3 4 5",
	"nxbare":    "NXDOMAIN ra:",
	"nxanswer":  "NXDOMAIN ra: $ 300 CNAME b.example.org. / example.org. 300 SOA ns. host. 1 2 3 4 5",
	"servfail":  "SERVFAIL ra:",
	"failsoa":   "SERVFAIL ra: / example.org. 300 SOA ns. host. 1 2 3 4 5",
	"notimp":    "NOTIMP:",
	"refused":   "REFUSED: / example.org. 300 SOA ns. host. 1 2 3 4 5",
	"formerr":   "FORMERR:",
	"truncated": "NOERROR ra,tc:",
}

// upstream answers by replies, and counts what it was asked.
type upstream struct {
	address string

	mu    sync.Mutex
	asked map[string]int // guarded by mu; by name, type and the flags that matter
}

// serveUpstream runs an upstream on loopback, over UDP and TCP, until the test ends.
func serveUpstream(t testing.TB) *upstream {
	t.Helper()
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp4", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{address: tcp.Addr().String(), asked: map[string]int{}}
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: u}, {Listener: tcp, Handler: u}} {
		started, done := make(chan struct{}), make(chan error, 1)
		s.NotifyStartedFunc = func() { close(started) }
		go func() { done <- s.ActivateAndServe() }()
		select {
		case <-started:
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
	return u
}

// ServeDNS answers one question.
func (u *upstream) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	name := strings.ToLower(q.Question[0].Name)
	if name != "." { // which health checks ask for
		opt := q.IsEdns0()
		u.mu.Lock()
		u.asked[fmt.Sprintf("%s %s do=%v cd=%v ad=%v", name, dns.TypeToString[q.Question[0].Qtype], opt != nil && opt.Do(),
			q.CheckingDisabled, q.AuthenticatedData)]++
		u.mu.Unlock()
	}
	label, _, _ := strings.Cut(name, ".")
	m, err := reply(q, replies[label])
	if err != nil {
		m = new(dns.Msg).SetRcode(q, dns.RcodeRefused)
	}
	_ = w.WriteMsg(m) // a client that went away is its own affair
}

func (u *upstream) counts() map[string]int {
	u.mu.Lock()
	defer u.mu.Unlock()
	copied := map[string]int{}
	for question, n := range u.asked {
		copied[question] = n
	}
	return copied
}

// reply makes the message that a text of replies stands for.
func reply(q *dns.Msg, text string) (*dns.Msg, error) {
	head, body, _ := strings.Cut(text, ":")
	rcode, flags, _ := strings.Cut(head, " ")
	m := new(dns.Msg).SetRcode(q, dns.StringToRcode[rcode])
	m.Compress = true
	for _, flag := range strings.Split(flags, ",") {
		switch flag {
		case "aa":
			m.Authoritative = true
		case "ra":
			m.RecursionAvailable = true
		case "ad":
			m.AuthenticatedData = true
		case "tc":
			m.Truncated = true
		}
	}
	sections := []*[]dns.RR{&m.Answer, &m.Ns, &m.Extra}
	for s, part := range strings.Split(body, "/") {
		for _, record := range strings.Split(part, ";") {
			if record = strings.TrimSpace(record); record == "" {
				continue
			}
			rr, err := dns.NewRR(strings.ReplaceAll(record, "$", q.Question[0].Name))
			if err != nil {
				return nil, err
			}
			*sections[s] = append(*sections[s], rr)
		}
	}
	if opt := q.IsEdns0(); opt != nil {
		m.SetEdns0(1232, opt.Do())
	}
	return m, nil
}
