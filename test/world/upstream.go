package world

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// outsideNames are the names outside the cluster that services point to and questions ask for. What the first label
// says is how Upstream answers.
var outsideNames = []string{
	"www.example.com", "mail.example.com", "missing.example.com", "empty.example.org", "broken.example.org",
	"refused.example.net", "alias.example.com", "alias-missing.example.net", "many.example.org", "v6.example.net",
}

// Upstream is the rest of the DNS as far as a world needs it: a server to forward to. Its answer follows from the
// question alone, so that two servers in front of it can be compared:
//
//	missing…   NXDOMAIN with SOA         refused…  REFUSED
//	empty…     NODATA with SOA           alias-X…  CNAME to X… and that one's answer
//	broken…    SERVFAIL                  alias…    CNAME to www… and that one's answer
//	many…      60 addresses              v6…       AAAA only
//
// Any other name has records of every common type. The cluster's zone and the reverse zones do not exist here.
type Upstream struct{}

// ServeUpstream runs an Upstream on loopback, over UDP and TCP on one port, until the test ends. It returns its address.
func ServeUpstream(t testing.TB) string {
	t.Helper()
	udp, tcp, err := listenBoth()
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range []*dns.Server{
		{PacketConn: udp, Handler: Upstream{}, UDPSize: dns.MaxMsgSize}, // whatever a forwarder lets through
		{Listener: tcp, Handler: Upstream{}},
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

// listenBoth finds a port of loopback that is free for both transports.
func listenBoth() (net.PacketConn, net.Listener, error) {
	var errs []error
	for range 10 {
		tcp, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, nil, err
		}
		udp, err := net.ListenPacket("udp4", tcp.Addr().String())
		if err == nil {
			return udp, tcp, nil
		}
		errs = append(errs, err, tcp.Close())
	}
	return nil, nil, errors.Join(errs...)
}

// ServeDNS answers one question; truncated over UDP if the reply does not fit.
func (u Upstream) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	reply := u.Reply(q)
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		size := dns.MinMsgSize
		if opt := q.IsEdns0(); opt != nil {
			size = max(size, int(opt.UDPSize()))
		}
		reply.Truncate(size)
	}
	_ = w.WriteMsg(reply) // a client that went away is its own affair
}

// Reply is the answer to q, of any size.
func (Upstream) Reply(q *dns.Msg) *dns.Msg {
	reply := new(dns.Msg).SetReply(q)
	reply.RecursionAvailable = true
	if opt := q.IsEdns0(); opt != nil {
		reply.SetEdns0(dns.DefaultMsgSize, opt.Do())
	}
	if len(q.Question) != 1 || q.Question[0].Qclass != dns.ClassINET {
		reply.Rcode = dns.RcodeRefused
		return reply
	}
	question := q.Question[0]
	name := follow(reply, question)
	owner := question.Name
	if len(reply.Answer) > 0 && question.Qtype != dns.TypeCNAME {
		owner = name
	}
	first, _, _ := strings.Cut(name, ".")
	switch {
	case first == "broken":
		reply.Answer, reply.Rcode = nil, dns.RcodeServerFailure
	case first == "refused":
		reply.Answer, reply.Rcode = nil, dns.RcodeRefused
	case first == "missing" || !hasOutsideZone(name):
		reply.Rcode = dns.RcodeNameError
		reply.Ns = []dns.RR{negative()}
	default:
		records := recordsOf(owner, first, question.Qtype)
		reply.Answer = append(reply.Answer, records...)
		if len(reply.Answer) == 0 || len(records) == 0 && question.Qtype != dns.TypeCNAME {
			reply.Ns = []dns.RR{negative()}
		}
	}
	return reply
}

// follow answers with the CNAMEs that a question meets and returns the name, in lower case, at which they end. The first
// record keeps the question's spelling.
func follow(reply *dns.Msg, question dns.Question) string {
	name, owner := dns.CanonicalName(question.Name), question.Name
	for strings.HasPrefix(name, "alias") {
		first, rest, _ := strings.Cut(name, ".")
		target := strings.TrimPrefix(strings.TrimPrefix(first, "alias"), "-")
		if target == "" {
			target = "www"
		}
		next := target + "." + rest
		reply.Answer = append(reply.Answer, &dns.CNAME{Hdr: header(owner, dns.TypeCNAME), Target: next})
		if question.Qtype == dns.TypeCNAME {
			break
		}
		name, owner = next, next
	}
	return name
}

func hasOutsideZone(name string) bool {
	for _, zone := range []string{"example.com.", "example.net.", "example.org."} {
		if dns.IsSubDomain(zone, name) {
			return true
		}
	}
	return false
}

// recordsOf makes the records of one type; the addresses follow from the name.
func recordsOf(owner, first string, qtype uint16) []dns.RR {
	h := fnv.New32a()
	h.Write([]byte(dns.CanonicalName(owner)))
	last := byte(h.Sum32())
	count := 1
	switch {
	case first == "empty", first == "v6" && qtype != dns.TypeAAAA:
		return nil
	case first == "many":
		count = 60
	}
	var records []dns.RR
	switch qtype {
	case dns.TypeA:
		for i := range count {
			records = append(records, &dns.A{Hdr: header(owner, qtype), A: net.IPv4(203, 0, 113, last+byte(i))})
		}
	case dns.TypeAAAA:
		for i := range count {
			records = append(records, &dns.AAAA{Hdr: header(owner, qtype), AAAA: net.ParseIP(fmt.Sprintf("2001:db8::%x", int(last)+i))})
		}
	case dns.TypeTXT:
		records = append(records, &dns.TXT{Hdr: header(owner, qtype), Txt: []string{"text of " + dns.CanonicalName(owner)}})
	case dns.TypeMX:
		records = append(records, &dns.MX{Hdr: header(owner, qtype), Preference: 10, Mx: "mail.example.com."})
	case dns.TypeSRV:
		records = append(records, &dns.SRV{Hdr: header(owner, qtype), Weight: 5, Port: 443, Target: "www.example.com."})
	case dns.TypeCAA:
		records = append(records, &dns.CAA{Hdr: header(owner, qtype), Tag: "issue", Value: "ca.example.net"})
	}
	return records
}

func header(owner string, rrtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: owner, Rrtype: rrtype, Class: dns.ClassINET, Ttl: 300}
}

func negative() *dns.SOA {
	return &dns.SOA{
		Hdr: header("example.", dns.TypeSOA), Ns: "ns.example.", Mbox: "hostmaster.example.",
		Serial: 1, Refresh: 7200, Retry: 1800, Expire: 86400, Minttl: 60,
	}
}
