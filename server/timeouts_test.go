package server

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

// closedAfter is how long it takes until the server ends a connection.
func closedAfter(t *testing.T, conn net.Conn, begin time.Time) time.Duration {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Fatalf("the connection is open after %s", time.Since(begin))
	}
	return time.Since(begin)
}

// CoreDNS's times are in force where nothing else is said, and those of the server block's directives where it is.
func TestTimeoutsOf(t *testing.T) {
	t.Parallel()
	patient := func(t plugin.Timeouts) plugin.Spec {
		return plugin.Spec{Name: "patient", Build: func(env *plugin.Env, _ []*corefile.Directive) (plugin.Handler, error) {
			env.Listen.Timeouts = t
			return nil, nil
		}}
	}
	for _, test := range []struct {
		name      string
		directive plugin.Timeouts
		want      plugin.Timeouts
	}{
		{name: "none", want: plugin.Timeouts{Read: 3 * time.Second, Idle: 10 * time.Second, Write: 5 * time.Second}},
		{name: "one", directive: plugin.Timeouts{Idle: time.Minute}, want: plugin.Timeouts{Read: 3 * time.Second, Idle: time.Minute, Write: 5 * time.Second}},
		{name: "all", directive: plugin.Timeouts{Read: 1, Idle: 2, Write: 3, Queries: 4}, want: plugin.Timeouts{Read: 1, Idle: 2, Write: 3, Queries: 4}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			// The block without the directive, on the same address, changes nothing.
			s, err := New(parse(t, ". {\n patient\n answer x\n}\na. {\n answer y\n}"), Options{Specs: []plugin.Spec{patient(test.directive), answerSpec()}})
			if err != nil {
				t.Fatal(err)
			}
			if got := s.made.tables[address{port: DefaultPort}].listen.Timeouts; got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// Who sends a query byte by byte has no more time for it than who sends none: a connection is not kept open by drops.
func TestSlowQuery(t *testing.T) {
	t.Parallel()
	const limit = 600 * time.Millisecond
	r := start(t, ". {\n bind 127.0.0.1\n answer x\n}", Options{Timeouts: plugin.Timeouts{Read: limit, Idle: time.Hour}})
	conn, begin := r.dial().Conn, time.Now()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				conn.Write([]byte{0x10}) // a query of 4112 bytes; an error is seen by the reader
			}
		}
	}()
	if took := closedAfter(t, conn, begin); took < limit*2/3 || took > 10*time.Second {
		t.Errorf("closed after %s, want %s", took, limit)
	}
}

// A connection may be idle between queries (RFC 7766, section 6.2.3), but not for ever.
func TestIdle(t *testing.T) {
	t.Parallel()
	const limit = 3 * time.Second // a busy machine stops for a second
	r := start(t, ". {\n bind 127.0.0.1\n answer x\n}", Options{Timeouts: plugin.Timeouts{Read: time.Second, Idle: limit}})
	conn := r.dial()
	for range 3 { // longer than the first query may take, all together longer than one pause may
		sendFrame(t, conn.Conn, new(dns.Msg).SetQuestion("a.", dns.TypeTXT))
		if m, err := conn.ReadMsg(); err != nil || text(m) != "x" {
			t.Fatalf("%v %v", m, err)
		}
		<-time.After(limit / 2)
	}
	sendFrame(t, conn.Conn, new(dns.Msg).SetQuestion("a.", dns.TypeTXT))
	if _, err := conn.ReadMsg(); err != nil {
		t.Fatal(err)
	}
	if took := closedAfter(t, conn.Conn, time.Now()); took < limit*2/3 || took > 10*time.Second {
		t.Errorf("closed after %s, want %s", took, limit)
	}
	eventually(t, "no connection", func() bool { return r.metric("nameplane_tcp_connections") == 0 })
}

// A client that takes no replies is cut off: it would hold a goroutine and what waits for it.
func TestWriteTimeout(t *testing.T) {
	t.Parallel()
	const limit = 300 * time.Millisecond
	large := &double{name: "large", serve: func(_ context.Context, x *plugin.Exchange) error {
		m, err := x.Query.Msg()
		if err != nil {
			return err
		}
		reply := new(dns.Msg).SetReply(m)
		for range 200 {
			reply.Answer = append(reply.Answer, &dns.TXT{
				Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{strings.Repeat("x", 255)}})
		}
		return x.Reply.SetMsg(&x.Query, reply)
	}}
	r := start(t, ". {\n bind 127.0.0.1\n large\n}", Options{Timeouts: plugin.Timeouts{Write: limit, Idle: time.Hour}}, large.spec())
	conn := r.dial().Conn
	packet, err := new(dns.Msg).SetQuestion("a.", dns.TypeTXT).Pack()
	if err != nil {
		t.Fatal(err)
	}
	frame := append([]byte{0, byte(len(packet))}, packet...)
	begin := time.Now()
	for err = nil; err == nil && time.Since(begin) < 20*time.Second; { // 50 kB each: no buffer takes them all
		conn.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err = conn.Write(frame); err != nil && strings.Contains(err.Error(), "timeout") {
			err = nil // the server reads no more; its own patience is what counts
		}
	}
	if took := time.Since(begin); err == nil || took < limit*2/3 {
		t.Errorf("cut off by %v after %s, want so after %s", err, took, limit)
	}
	eventually(t, "no connection", func() bool { return r.metric("nameplane_tcp_connections") == 0 })
}

// A connection may be bounded in its queries; the last one is answered.
func TestQueriesOfOneConnection(t *testing.T) {
	t.Parallel()
	r := start(t, ". {\n bind 127.0.0.1\n answer x\n}", Options{Timeouts: plugin.Timeouts{Queries: 3}})
	conn := r.dial()
	ask := func() error {
		if err := conn.WriteMsg(new(dns.Msg).SetQuestion("a.", dns.TypeTXT)); err != nil {
			return err
		}
		m, err := conn.ReadMsg()
		if err == nil && text(m) != "x" {
			t.Errorf("the answer is %v", m)
		}
		return err
	}
	for i := range 3 {
		if err := ask(); err != nil {
			t.Fatalf("query %d: %v", i+1, err)
		}
	}
	if ask() == nil {
		t.Error("a fourth query is answered, of three that a connection may have")
	}
}
