package forward

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

func TestReplyComesBack(t *testing.T) {
	t.Parallel()
	for _, transport := range []plugin.Transport{plugin.UDP, plugin.TCP} {
		t.Run(transport.String(), func(t *testing.T) {
			t.Parallel()
			s := newServer(t, func(q *query) {
				m := q.reply(dns.RcodeSuccess, "www.EXAMPLE.org. 30 IN CNAME example.org.", "example.org. 30 IN A 192.0.2.1")
				m.Question[0].Name = strings.ToLower(m.Question[0].Name)
				m.AuthenticatedData = true
				m.SetEdns0(4096, false)
				q.send(packed(m))
			})
			h, _, _ := built(t, ". "+s.addr)
			x := block.FromMsg(t, new(dns.Msg).SetQuestion("wWw.example.ORG.", dns.TypeA).SetEdns0(1232, true))
			x.Transport = transport
			m, err := send(t, h, x)
			if err != nil {
				t.Fatal(err)
			}
			if m.Id != x.Query.ID() || m.Question[0].Name != "wWw.example.ORG." || !m.RecursionAvailable || !m.AuthenticatedData || m.Authoritative {
				t.Errorf("header or question: %v", m)
			}
			if len(m.Answer) != 2 || m.IsEdns0() == nil || m.IsEdns0().UDPSize() != 1232 {
				t.Errorf("records: %v", m)
			}
			if s.count(transport.String()) != 1 || s.count("udp")+s.count("tcp") != 1 {
				t.Errorf("asked by UDP %d times, by TCP %d times", s.count("udp"), s.count("tcp"))
			}
		})
	}
}

// TestForeignPacketsAreIgnored: what does not answer the query is no reason to stop waiting (RFC 5452, section 9.1;
// CVE-2023-28452).
func TestForeignPacketsAreIgnored(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		first func(q *query) []byte
	}{
		{name: "another ID", first: func(q *query) []byte {
			m := q.reply(dns.RcodeNameError)
			m.Id++
			return packed(m)
		}},
		{name: "another name", first: func(q *query) []byte {
			m := q.reply(dns.RcodeNameError)
			m.Question[0].Name = "evil.test."
			return packed(m)
		}},
		{name: "another type", first: func(q *query) []byte {
			m := q.reply(dns.RcodeNameError)
			m.Question[0].Qtype = dns.TypeAAAA
			return packed(m)
		}},
		{name: "no question and no error", first: func(q *query) []byte {
			m := q.reply(dns.RcodeSuccess)
			m.Question = nil
			return packed(m)
		}},
		{name: "no question and no name", first: func(q *query) []byte {
			m := q.reply(dns.RcodeNameError)
			m.Question = nil
			return packed(m)
		}},
		{name: "a bare header and something", first: func(q *query) []byte {
			m := q.reply(dns.RcodeRefused)
			m.Question = nil
			return append(packed(m), 0)
		}},
		{name: "the query itself", first: func(q *query) []byte { return q.packet }},
		{name: "half a header", first: func(q *query) []byte { return q.packet[:5] }},
		{name: "nothing", first: func(*query) []byte { return nil }},
		{name: "a record cut", first: func(q *query) []byte {
			p := packed(q.reply(dns.RcodeSuccess, "www.example.org. 5 IN A 6.6.6.6"))
			return p[:len(p)-2]
		}},
		{name: "a name that points to itself", first: func(q *query) []byte {
			p := packed(q.reply(dns.RcodeSuccess, "www.example.org. 5 IN A 6.6.6.6"))
			copy(p[len(q.packet):], []byte{0xc0, byte(len(q.packet))})
			return p
		}},
		{name: "noise", first: func(q *query) []byte { return append(slices.Clone(q.packet[:2]), bytes.Repeat([]byte{0xff}, 300)...) }},
	}
	for _, c := range cases {
		for _, transport := range []plugin.Transport{plugin.UDP, plugin.TCP} {
			t.Run(c.name+" by "+transport.String(), func(t *testing.T) {
				t.Parallel()
				s := newServer(t, func(q *query) {
					for range 3 {
						q.send(c.first(q))
					}
					q.answer()
				})
				h, _, _ := built(t, ". "+s.addr)
				x := block.NewExchange(t, "www.example.org.", dns.TypeA)
				x.Transport = transport
				m, err := send(t, h, x)
				if err != nil || len(m.Answer) != 1 || m.Rcode != dns.RcodeSuccess {
					t.Fatalf("%v, %v", m, err)
				}
				if n := s.count(transport.String()); n != 1 {
					t.Errorf("asked %d times, want once", n)
				}
			})
		}
	}
}

// TestNoAnswer: whatever an upstream does, the query ends with an error in time.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name      string
		transport plugin.Transport
		script    func(q *query)
		want      error
	}{
		{name: "silence by UDP", script: silent, want: os.ErrDeadlineExceeded},
		{name: "silence by TCP", transport: plugin.TCP, script: silent, want: os.ErrDeadlineExceeded},
		{name: "garbage without an end", script: func(q *query) {
			for range 2000 {
				q.send(append(slices.Clone(q.packet[:2]), "garbage without an end"...))
			}
		}, want: os.ErrDeadlineExceeded},
		{name: "closed at once", transport: plugin.TCP, script: func(q *query) { q.cut(nil) }, want: io.EOF},
		{name: "closed in the length", transport: plugin.TCP, script: func(q *query) { q.cut([]byte{1}) }, want: io.ErrUnexpectedEOF},
		{name: "closed in the frame", transport: plugin.TCP, script: func(q *query) { q.cut([]byte{0xff, 0xff, 1, 2, 3}) }, want: io.ErrUnexpectedEOF},
		{name: "closed behind the length", transport: plugin.TCP, script: func(q *query) { q.cut([]byte{0, 9}) }, want: io.ErrUnexpectedEOF},
		{name: "64 KiB of nothing", transport: plugin.TCP, script: func(q *query) { q.send(make([]byte, dns.MaxMsgSize)) }, want: os.ErrDeadlineExceeded},
		{name: "empty frames", transport: plugin.TCP, script: func(q *query) {
			for range 1000 {
				q.send(nil)
			}
		}, want: os.ErrDeadlineExceeded},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, c.script)
			h, _, _ := built(t, ". "+s.addr, "read_timeout 100ms")
			x := block.NewExchange(t, "www.example.org.", dns.TypeA)
			x.Transport = c.transport
			start := time.Now()
			_, err := send(t, h, x)
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if took := time.Since(start); took > 4*time.Second {
				t.Errorf("took %v", took)
			}
			if n := s.count(c.transport.String()); n != 2 {
				t.Errorf("asked %d times, want 2: two attempts an upstream", n)
			}
			if x.Reply.Made() {
				t.Error("a reply was made")
			}
		})
	}
}

func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	for _, transport := range []plugin.Transport{plugin.UDP, plugin.TCP} {
		t.Run(transport.String(), func(t *testing.T) {
			t.Parallel()
			h, _, _ := built(t, ". "+deadAddress(t))
			x := block.NewExchange(t, "www.example.org.", dns.TypeA)
			x.Transport = transport
			if _, err := send(t, h, x); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Fatalf("error %v", err)
			}
		})
	}
}

// The deadline counts over all attempts.
func TestTotalTime(t *testing.T) {
	t.Parallel()
	s := newServer(t, silent)
	h, _, _ := built(t, ". "+s.addr)
	h.forwards[0].total = 60 * time.Millisecond
	start := time.Now()
	if _, err := ask(t, h, "www.example.org."); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("error %v", err)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %v", took)
	}
	if n := s.count("udp"); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
}

func TestTruncated(t *testing.T) {
	t.Parallel()
	truncating := func(q *query) {
		if q.proto == "tcp" {
			q.answer()
			return
		}
		m := q.reply(dns.RcodeSuccess)
		m.Truncated = true
		q.send(packed(m))
	}
	cases := []struct {
		name      string
		options   []string
		transport plugin.Transport
		udp, tcp  int // how often each is asked
		truncated bool
	}{
		{name: "passed on", udp: 1, truncated: true},
		{name: "TCP client", transport: plugin.TCP, tcp: 1},
		{name: "force_tcp", options: []string{"force_tcp"}, tcp: 1},
		{name: "prefer_udp retries by TCP", options: []string{"prefer_udp"}, udp: 1, tcp: 1},
		{name: "prefer_udp for a TCP client", options: []string{"prefer_udp"}, transport: plugin.TCP, udp: 1, tcp: 1},
		{name: "force_tcp goes before prefer_udp", options: []string{"prefer_udp", "force_tcp"}, tcp: 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, truncating)
			h, _, _ := built(t, ". "+s.addr, c.options...)
			x := block.NewExchange(t, "www.example.org.", dns.TypeA)
			x.Transport = c.transport
			m, err := send(t, h, x)
			if err != nil {
				t.Fatal(err)
			}
			if m.Truncated != c.truncated || (len(m.Answer) == 0) != c.truncated {
				t.Errorf("%v", m)
			}
			if s.count("udp") != c.udp || s.count("tcp") != c.tcp {
				t.Errorf("asked by UDP %d times, by TCP %d times; want %d and %d", s.count("udp"), s.count("tcp"), c.udp, c.tcp)
			}
		})
	}
}

// An upstream that sends more than the client takes: the client is to ask by TCP, as CoreDNS tells it.
func TestTooLargeForUDP(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		records int
		size    uint16 // that the client takes; 0 without EDNS
		cut     bool
	}{
		{name: "all fit into 512 bytes", records: 20},
		{name: "a little more", records: 60, cut: true},
		{name: "as much as EDNS allows", records: 60, size: 1232},
		{name: "more than is read", records: 600, size: 1232, cut: true},
		{name: "a client of large datagrams", records: 600, size: 65000},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, func(q *query) {
				q.send(packed(q.reply(dns.RcodeSuccess, slices.Repeat([]string{"www.example.org. 5 IN A 192.0.2.1"}, c.records)...)))
			})
			h, _, _ := built(t, ". "+s.addr)
			query := new(dns.Msg).SetQuestion("www.Example.org.", dns.TypeA)
			if c.size > 0 {
				query.SetEdns0(c.size, false)
			}
			m, err := send(t, h, block.FromMsg(t, query))
			if err != nil || m.Truncated != c.cut || !m.RecursionAvailable || m.Question[0].Name != "www.Example.org." {
				t.Fatalf("%v, %v", m, err)
			}
			if c.cut && len(m.Answer) != 0 || !c.cut && len(m.Answer) != c.records {
				t.Errorf("%d records", len(m.Answer))
			}
		})
	}
}

// TestBareHeader: servers that do not know EDNS may answer with a header alone (RFC 6891, section 7). It must not cost the
// client a timeout.
func TestBareHeader(t *testing.T) {
	t.Parallel()
	for _, rcode := range []int{dns.RcodeFormatError, dns.RcodeServerFailure, dns.RcodeNotImplemented, dns.RcodeRefused} {
		for _, transport := range []plugin.Transport{plugin.UDP, plugin.TCP} {
			s := newServer(t, func(q *query) {
				m := q.reply(rcode)
				m.Question = nil
				q.send(packed(m))
			})
			h, _, _ := built(t, ". "+s.addr)
			x := block.NewExchange(t, "www.Example.org.", dns.TypeA)
			x.Transport = transport
			m, err := send(t, h, x)
			if err != nil || m.Rcode != rcode || len(m.Question) != 1 || m.Question[0].Name != "www.Example.org." || s.count(transport.String()) != 1 {
				t.Errorf("%s by %s: %v, %v", dns.RcodeToString[rcode], transport, m, err)
			}
		}
	}
}

// A reply with TC may end within a record.
func TestTruncatedWithinARecord(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(q *query) {
		m := q.reply(dns.RcodeSuccess, "www.example.org. 5 IN A 192.0.2.1")
		m.Truncated = true
		p := packed(m)
		q.send(p[:len(p)-2])
	})
	h, _, _ := built(t, ". "+s.addr)
	if m := mustAsk(t, h, "www.example.org."); !m.Truncated || len(m.Answer) != 0 {
		t.Errorf("%v", m)
	}
}

func TestLargeReplyByTCP(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(q *query) {
		q.send(packed(q.reply(dns.RcodeSuccess, slices.Repeat([]string{"www.example.org. 5 IN A 192.0.2.1"}, 4000)...)))
	})
	h, _, _ := built(t, ". "+s.addr)
	x := block.NewExchange(t, "www.example.org.", dns.TypeA)
	x.Transport = plugin.TCP
	m, err := send(t, h, x)
	if err != nil || len(m.Answer) != 4000 || m.Truncated {
		t.Fatalf("%d records, %v", len(m.Answer), err)
	}
	for range 10 {
		if f, ok := h.forwards[0].flights.pool.Get().(*flight); ok && cap(f.packet) > mostKept {
			t.Errorf("a buffer of %d bytes was kept", cap(f.packet))
		}
	}
}
