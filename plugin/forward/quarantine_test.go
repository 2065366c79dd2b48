package forward

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

// An upstream in quarantine is asked for nothing but what Ask asks; when all are, there is nobody to ask.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"random", "round_robin", "sequential"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			one, two := marked(t, "1"), marked(t, "2")
			text := ". {\n forward example.org " + one.addr + " " + two.addr + " {\n  policy " + policy + "\n }\n}"
			handler, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, text, "forward"))
			if err != nil {
				t.Fatal(err)
			}
			h := handler.(*Handler)
			all := h.Upstreams()
			if len(all) != 2 || all[0] != h.Upstreams()[0] || all[0] == all[1] || all[0].String() != one.addr || all[0].Zone().String() != "example.org." {
				t.Fatalf("upstreams are %v", all)
			}
			answers := func(want map[string]bool) {
				t.Helper()
				seen := map[string]bool{}
				for range 30 {
					seen[by(mustAsk(t, h, "a.example.org."))] = true
				}
				for answer := range want {
					if !seen[answer] || len(seen) != len(want) {
						t.Errorf("answers are %v, want %v", seen, want)
					}
				}
			}
			all[0].Quarantine(true)
			answers(map[string]bool{"2": true})
			if err := askUpstream(t, all[0], 5*time.Second); err != nil {
				t.Errorf("Ask: %v", err)
			}
			all[1].Quarantine(true)
			x := block.NewExchange(t, "a.example.org.", dns.TypeA)
			start := time.Now()
			if err := block.Serve(x, h); err == nil || time.Since(start) > time.Second {
				t.Errorf("error %v after %s, want one at once", err, time.Since(start))
			}
			all[1].Quarantine(false)
			answers(map[string]bool{"2": true})
		})
	}
}

func askUpstream(t *testing.T, u plugin.Upstream, patience time.Duration) error {
	t.Helper()
	packet, err := new(dns.Msg).SetQuestion("b.example.org.", dns.TypeHINFO).Pack()
	if err != nil {
		t.Fatal(err)
	}
	q := new(wire.Query)
	if err := q.Parse(packet); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return u.Ask(ctx, q)
}

func TestAskOfADeadUpstream(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(*query) {})
	handler, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, ". {\n forward . "+s.addr+"\n}", "forward"))
	if err != nil {
		t.Fatal(err)
	}
	u := handler.(*Handler).Upstreams()[0]
	if err := askUpstream(t, u, 50*time.Millisecond); err == nil {
		t.Error("no error, though nobody answered")
	}
}
