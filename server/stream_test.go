package server

import (
	"context"
	"errors"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
)

// streaming is a directive that answers AXFR by several messages, and everything else by one. Its last error is in errs.
func streaming(messages, size int, errs chan<- error) *double {
	filler := make([]byte, size)
	return &double{name: "streaming", serve: func(_ context.Context, x *plugin.Exchange) error {
		if x.Query.Type != dns.TypeAXFR {
			txt(x, "one")
			return nil
		}
		err := x.Block()
		for i := range messages {
			txt(x, strconv.Itoa(i))
			if size > 0 {
				x.Reply.Open(12, dns.TypeNULL, 5)
				x.Reply.Bytes(filler)
				x.Reply.Close()
			}
			if i == messages-1 || err != nil {
				break
			}
			err = x.Send()
			if err == nil && x.Reply.Made() {
				err = errors.New("the message is left behind")
			}
		}
		errs <- err
		return err
	}}
}

// RFC 5936, section 2.2: one query, several messages, in their order. Other queries of the connection are answered meanwhile
// (RFC 7766, section 6.2.1.1).
func TestSend(t *testing.T) {
	t.Parallel()
	errs := make(chan error, 1)
	r := start(t, ". {\n bind 127.0.0.1\n streaming\n}", Options{}, streaming(20, 40_000, errs).spec())
	conn := r.dial()
	for id, qtype := range []uint16{dns.TypeAXFR, dns.TypeA, dns.TypeA} {
		m := new(dns.Msg).SetQuestion("a.", qtype)
		m.Id = uint16(id)
		sendFrame(t, conn.Conn, m)
	}
	next, others := 0, 0
	for next < 20 || others < 2 {
		got, err := conn.ReadMsg()
		if err != nil {
			t.Fatal(err)
		}
		if got.Id != 0 {
			others++
			continue
		}
		if text := got.Answer[0].(*dns.TXT).Txt[0]; text != strconv.Itoa(next) || len(got.Answer) != 2 {
			t.Fatalf("message %q with %d records, want %d with 2", text, len(got.Answer), next)
		}
		next++
	}
	if err := <-errs; err != nil {
		t.Error(err)
	}
}

func TestSendNeedsTCP(t *testing.T) {
	t.Parallel()
	errs := make(chan error, 1)
	r := start(t, ". {\n bind 127.0.0.1\n streaming\n}", Options{}, streaming(2, 0, errs).spec())
	if m := r.ask("udp", "a.", dns.TypeAXFR); m == nil || m.Rcode != dns.RcodeServerFailure {
		t.Errorf("reply %v, want SERVFAIL", m)
	}
	if err := <-errs; !errors.Is(err, plugin.ErrOneMessage) {
		t.Errorf("error is %v, want %v", err, plugin.ErrOneMessage)
	}
}

// A client that takes nothing ends the answer, and does not hold it for ever.
func TestSendToNobody(t *testing.T) {
	t.Parallel()
	errs := make(chan error, 1)
	r := start(t, ". {\n bind 127.0.0.1\n streaming\n}", Options{}, streaming(2000, 60_000, errs).spec())
	conn := r.dial()
	sendFrame(t, conn.Conn, new(dns.Msg).SetQuestion("a.", dns.TypeAXFR))
	if _, err := conn.ReadMsg(); err != nil {
		t.Fatal(err)
	}
	if err := conn.Conn.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	select {
	case err := <-errs:
		if err == nil {
			t.Error("120 MB went to a client that is gone")
		}
	case <-time.After(15 * time.Second):
		t.Error("the answer still waits for a client that is gone")
	}
}
