package plugin_test

import (
	"context"
	"errors"
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

// socket is a Host that counts what is asked of it.
type socket struct {
	yields   int
	resolves int
}

func (s *socket) Yield(*plugin.Exchange) error { s.yields++; return nil }

func (s *socket) Resolve(context.Context, *plugin.Exchange, wire.Name, uint16) (*dns.Msg, error) {
	s.resolves++
	return nil, errors.New("no such name")
}

// A detached exchange asks the rest of the chain, and nothing before it; it neither holds the socket nor shares bytes
// with the exchange that it came from, which the server uses again at once.
func TestDetach(t *testing.T) {
	t.Parallel()
	var detached *plugin.Exchange
	passed := 0
	first := block.HandlerFunc(func(ctx context.Context, x *plugin.Exchange) error { passed++; return x.Next(ctx) })
	second := block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) (err error) {
		detached, err = x.Detach()
		return err
	})
	end := block.HandlerFunc(func(ctx context.Context, x *plugin.Exchange) error {
		if err := x.Block(); err != nil {
			return err
		}
		if _, err := x.Resolve(ctx, wire.Root, dns.TypeNS); err == nil {
			t.Error("the host was not asked")
		}
		x.Live = true
		x.Reply.Start(&x.Query, dns.RcodeNameError)
		return nil
	})
	h := new(socket)
	x := block.NewExchange(t, "Example.org.", dns.TypeMX)
	x.Depth, x.Zone = 2, "org."
	x.Begin(h, []plugin.Handler{first, second, end})
	if err := x.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := x.Query.Parse(wire.NewQuery(0, wire.Root, dns.TypeNS)); err != nil {
		t.Fatal(err)
	}
	x.Begin(nil, nil)
	for range 2 {
		if err := detached.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if passed != 1 || h.yields != 0 || h.resolves != 2 {
		t.Errorf("%d passes of the first handler, %d yields, %d resolves; want 1, 0, 2", passed, h.yields, h.resolves)
	}
	if q := &detached.Query; q.NameString() != "Example.org." || q.Type != dns.TypeMX || detached.Depth != 2 || detached.Zone != "org." {
		t.Errorf("detached: %s %s, depth %d, zone %s", q.NameString(), q.TypeString(), detached.Depth, detached.Zone)
	}
	if m := block.Answer(t, detached); m.Rcode != dns.RcodeNameError || detached.Transport != plugin.TCP || detached.Limit() != dns.MaxMsgSize {
		t.Errorf("reply %v by %s", m, detached.Transport)
	}
	if x.Reply.Made() || x.Live {
		t.Error("the reply went to the exchange that it was detached from")
	}
}

func TestBeginForgetsLive(t *testing.T) {
	t.Parallel()
	x := block.NewExchange(t, "example.org.", dns.TypeA)
	x.Live = true
	x.Begin(nil, nil)
	if x.Live {
		t.Error("live without an answer")
	}
}
