package forward

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// readTimeout is the option of all lines: what takes longer is late.
const readTimeout = 400 * time.Millisecond

// Upstream is a scripted name server on loopback, by UDP and TCP on one port, and by TLS on another. The first label of a
// question says how it is answered; see answers and misdeeds.
type Upstream struct {
	Addr string // of UDP and TCP
	TLS  string // empty without a certificate
	last byte   // of its addresses, which tell upstreams apart
}

// answers are the labels that are answered as a server should, by what they do to an empty reply.
func answers(last byte) map[string]func(m *dns.Msg, owner string, udp bool) {
	address := func(owner string, n int) dns.RR {
		return &dns.A{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 300}, A: net.IPv4(192, 0, byte(n), last)}
	}
	addresses := func(n int) func(m *dns.Msg, owner string, udp bool) {
		return func(m *dns.Msg, owner string, _ bool) {
			for i := range n {
				m.Answer = append(m.Answer, address(owner, i))
			}
		}
	}
	coded := func(rcode int) func(m *dns.Msg, owner string, udp bool) {
		return func(m *dns.Msg, _ string, _ bool) { m.Rcode = rcode }
	}
	records := func(change func(m *dns.Msg), texts ...string) func(m *dns.Msg, owner string, udp bool) {
		return func(m *dns.Msg, owner string, _ bool) {
			for _, text := range texts {
				rr, err := dns.NewRR(strings.ReplaceAll(text, "@", owner))
				if err != nil {
					panic(err) // a text of this file
				}
				if rr.Header().Rrtype == dns.TypeSOA {
					m.Ns = append(m.Ns, rr)
				} else {
					m.Answer = append(m.Answer, rr)
				}
			}
			if change != nil {
				change(m)
			}
		}
	}
	const soa = "test. 60 IN SOA ns.test. hostmaster.test. 7 7200 1800 86400 30"
	return map[string]func(m *dns.Msg, owner string, udp bool){
		"www":      addresses(1),
		"nx":       records(func(m *dns.Msg) { m.Rcode = dns.RcodeNameError }, soa),
		"nodata":   records(nil, soa),
		"empty":    records(nil),
		"servfail": coded(dns.RcodeServerFailure),
		"refused":  coded(dns.RcodeRefused),
		"formerr":  coded(dns.RcodeFormatError),
		"notimp":   coded(dns.RcodeNotImplemented),
		"yxdomain": coded(dns.RcodeYXDomain),
		"alias":    records(nil, "@ 5 IN CNAME b.Test.", "b.Test. 6 IN CNAME c.example.", "c.example. 7 IN A 192.0.2.1"),
		"aliasnx":  records(func(m *dns.Msg) { m.Rcode = dns.RcodeNameError }, "@ 5 IN CNAME b.test.", soa),
		"eighty":   addresses(80),
		"thirty":   addresses(30),
		"ttls":     records(nil, "@ 0 IN A 192.0.2.1", "@ 2147483647 IN A 192.0.2.2"),
		"loopback": records(nil, "@ 5 IN A 127.0.0.1"),
		"flags":    records(func(m *dns.Msg) { m.Authoritative, m.AuthenticatedData, m.RecursionAvailable = true, true, false }, "@ 5 IN A 192.0.2.1"),
		"types": records(nil, "@ 5 IN MX 10 mail.@", "@ 5 IN SRV 1 2 3 host.@", `@ 5 IN TXT "a b" "c"`, "@ 5 IN CAA 0 issue \"ca.example\"",
			`@ 5 IN HTTPS 1 . alpn="h2"`, "@ 5 IN TYPE65280 \\# 3 010203"),
		"tc": func(m *dns.Msg, owner string, udp bool) {
			if m.Truncated = udp; !udp {
				addresses(3)(m, owner, udp)
			}
		},
		"slow": func(m *dns.Msg, owner string, udp bool) {
			<-time.After(readTimeout / 4)
			addresses(1)(m, owner, udp)
		},
	}
}

// misdeeds are the labels that are not answered as they should be: what is sent, in turn; by TCP without a length where it
// begins with a nil.
func misdeeds(good []byte) map[string]func(udp bool) [][]byte {
	one := func(packet []byte) func(bool) [][]byte { return func(bool) [][]byte { return [][]byte{packet} } }
	changed := func(change func(p []byte) []byte) []byte { return change(slices.Clone(good)) }
	return map[string]func(udp bool) [][]byte{
		"silent": func(bool) [][]byte { return [][]byte{} },
		"late": func(bool) [][]byte {
			<-time.After(readTimeout * 3 / 2)
			return [][]byte{good}
		},
		"noise":   one([]byte("this is not a DNS message, and far from it")),
		"otherid": one(changed(func(p []byte) []byte { p[0] ^= 0x55; return p })),
		"echo":    one(changed(func(p []byte) []byte { p[2] &^= 0x80; return p })),
		"other":   one(changed(func(p []byte) []byte { copy(p[13:], "OOOOO"); return p })),
		"half":    one(good[:len(good)-3]),
		"bare":    one(changed(func(p []byte) []byte { return append(p[:3], 0x80|dns.RcodeRefused, 0, 0, 0, 0, 0, 0, 0, 0) })),
		"twice":   func(bool) [][]byte { return [][]byte{changed(func(p []byte) []byte { p[0] ^= 0x55; return p }), good} },
		"midframe": func(udp bool) [][]byte {
			if udp {
				return [][]byte{}
			}
			return [][]byte{nil, append(binary.BigEndian.AppendUint16(nil, uint16(len(good))), good[:20]...)}
		},
		"huge": func(udp bool) [][]byte {
			if udp {
				return [][]byte{}
			}
			return [][]byte{make([]byte, dns.MaxMsgSize)}
		},
	}
}

// Serve runs an upstream until the test ends; last tells its answers from those of others. With certificates it also
// serves TLS.
func Serve(t testing.TB, last byte, certificates ...tls.Certificate) *Upstream {
	t.Helper()
	u := &Upstream{last: last}
	for try := 0; ; try++ {
		tcp, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		udp, err := net.ListenPacket("udp4", tcp.Addr().String())
		if err != nil {
			tcp.Close()
			if try == 10 {
				t.Fatal(err)
			}
			continue
		}
		u.Addr = tcp.Addr().String()
		t.Cleanup(func() { udp.Close() })
		go u.serveUDP(udp)
		u.listen(t, tcp)
		break
	}
	if len(certificates) > 0 {
		l, err := tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{Certificates: certificates})
		if err != nil {
			t.Fatal(err)
		}
		u.TLS = l.Addr().String()
		u.listen(t, l)
	}
	return u
}

func (u *Upstream) serveUDP(c net.PacketConn) {
	buffer := make([]byte, 4096)
	for {
		n, from, err := c.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		query := slices.Clone(buffer[:n])
		go func() {
			for _, packet := range u.reply(query, true) {
				_, _ = c.WriteTo(packet, from)
			}
		}()
	}
}

func (u *Upstream) listen(t testing.TB, l net.Listener) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			go u.serveConn(c)
		}
	}()
}

func (u *Upstream) serveConn(c net.Conn) {
	defer c.Close()
	for {
		var head [2]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(head[:]))
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		packets := u.reply(query, false)
		if len(packets) == 2 && packets[0] == nil {
			_, _ = c.Write(packets[1])
			return
		}
		for _, packet := range packets {
			_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...))
		}
	}
}

// reply is what is sent for a query.
func (u *Upstream) reply(packet []byte, udp bool) [][]byte {
	q := new(dns.Msg)
	if err := q.Unpack(packet); err != nil || len(q.Question) != 1 {
		return nil
	}
	name := q.Question[0].Name
	label, _, _ := strings.Cut(strings.ToLower(name), ".")
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable, m.Compress = true, true
	if opt := q.IsEdns0(); opt != nil {
		m.SetEdns0(1400, opt.Do())
	}
	act, ok := answers(u.last)[label]
	if !ok {
		act = answers(u.last)["www"]
	}
	act(m, name, udp)
	if strings.HasPrefix(label, "over") { // more than the client takes
		udp = false
		answers(u.last)["eighty"](m, name, udp)
	}
	if udp {
		size := dns.MinMsgSize
		if opt := q.IsEdns0(); opt != nil {
			size = max(size, int(opt.UDPSize()))
		}
		m.Truncate(size)
	}
	good, err := m.Pack()
	if err != nil {
		panic(fmt.Sprintf("%s: %v", name, err)) // our own message
	}
	if misdeed, ok := misdeeds(good)[label]; ok {
		return misdeed(udp)
	}
	return [][]byte{good}
}
