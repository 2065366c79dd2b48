package loop

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

// upstream is one that leads to where its script says.
type upstream struct {
	addr, zone string

	mu          sync.Mutex
	probes      []string                  // names that it was asked for; guarded by mu
	times       []time.Time               // guarded by mu
	quarantined bool                      // guarded by mu
	script      func(q *wire.Query) error // guarded by mu
}

func (u *upstream) String() string { return u.addr }

func (u *upstream) Zone() wire.Name {
	zone, _ := wire.ParseName(u.zone) // of a test's table
	return zone
}

func (u *upstream) Ask(_ context.Context, q *wire.Query) error {
	u.mu.Lock()
	u.probes, u.times = append(u.probes, q.NameString()), append(u.times, time.Now())
	script := u.script
	u.mu.Unlock()
	return script(q)
}

func (u *upstream) Quarantine(on bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.quarantined = on
}

func (u *upstream) set(script func(q *wire.Query) error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.script = script
}

func (u *upstream) state() (probes int, quarantined bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.probes), u.quarantined
}

// forwarder stands for forward.
type forwarder struct {
	block.HandlerFunc
	list []plugin.Upstream
}

func (f *forwarder) Upstreams() []plugin.Upstream { return f.list }

// chain is a server block with loop and a forwarder.
type chain struct {
	t    *testing.T
	h    *Handler
	f    *forwarder
	log  *block.Buffer
	env  *plugin.Env
	next int // queries that got past loop
}

func newChain(t *testing.T, list ...plugin.Upstream) *chain {
	t.Helper()
	log := new(block.Buffer)
	c := &chain{t: t, log: log, env: block.NewEnv(log)}
	h, err := Spec().Build(c.env, block.Lines(t, ". {\n loop\n}", "loop"))
	if err != nil {
		t.Fatal(err)
	}
	c.h = h.(*Handler)
	c.f = &forwarder{list: list, HandlerFunc: func(_ context.Context, x *plugin.Exchange) error {
		c.next++
		x.Reply.Start(&x.Query, dns.RcodeSuccess)
		return nil
	}}
	c.env.Instance = block.Instance{{Server: "dns://:53", Zone: ".", Handlers: []plugin.Handler{c.h, c.f}}}
	if err := c.h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// back is an upstream's script: it sends the question on to this server.
func (c *chain) back(q *wire.Query) error {
	x := block.NewExchange(c.t, strings.ToUpper(q.NameString()), q.Type) // spelling is no matter
	if err := block.Serve(x, c.h, c.f); err != nil || x.Reply.Rcode() != dns.RcodeNameError {
		c.t.Errorf("a probe that came back: error %v, rcode %d", err, x.Reply.Rcode())
	}
	return nil
}

func answers(*wire.Query) error { return nil }
func silent(*wire.Query) error  { return errors.New("no answer") }

// run runs the handler in a bubble, for so long.
func (c *chain) run(d time.Duration) {
	ctx, cancel := context.WithTimeout(c.t.Context(), d)
	defer cancel()
	if err := c.h.Run(ctx); err != nil {
		c.t.Error(err)
	}
}

func (c *chain) count(to string) float64 {
	return block.Counters(c.t, c.env)[`nameplane_loop_detected_total{to="`+to+`",zone="."}`]
}

// D11: the upstream that leads back is kept out, the other one is not, and the process goes on.
func TestLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		good, bad := &upstream{addr: "192.0.2.1:53", zone: ".", script: answers}, &upstream{addr: "192.0.2.2:53", zone: "."}
		c := newChain(t, good, bad)
		bad.set(c.back)
		c.run(eagerPause / 2)
		if n, quarantined := good.state(); n != 1 || quarantined {
			t.Errorf("the good one: %d probes, quarantine %v", n, quarantined)
		}
		if n, quarantined := bad.state(); n != 1 || !quarantined {
			t.Errorf("the bad one: %d probes, quarantine %v", n, quarantined)
		}
		const want = `[ERROR] Loop (192.0.2.2:53 -> 10.240.0.1:40212 -> 10.96.0.10:53) detected for zone "."`
		if !strings.HasPrefix(c.log.String(), want) {
			t.Errorf("log is %q, want %q", c.log, want)
		}
		if c.next != 0 || c.count("192.0.2.2:53") != 1 || c.count("192.0.2.1:53") != 0 {
			t.Errorf("%d probes were handed on, %v counted", c.next, block.Counters(t, c.env))
		}
		c.run(latePause - time.Second)
		if n, _ := bad.state(); n != 2 { // a new Run begins anew
			t.Errorf("%d probes of the bad one", n)
		}
	})
}

// One in quarantine is probed every 30 s, and asked again once the loop is gone; not when it only falls silent.
func TestLoopIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{addr: "192.0.2.1:53", zone: "."}
		c := newChain(t, u)
		u.set(c.back)
		go func() {
			for _, script := range []func(*wire.Query) error{silent, answers} {
				<-time.After(latePause + time.Second) // in the bubble's time: after the probes at 0 and 30 s, and so on
				if _, quarantined := u.state(); !quarantined {
					t.Error("not in quarantine")
				}
				u.set(script)
			}
		}()
		c.run(5 * latePause)
		if n, quarantined := u.state(); n != 4 || quarantined {
			t.Errorf("%d probes, quarantine %v, want 4 (at 0, 30, 60 and 90 s) and none", n, quarantined)
		}
		if got := c.count("192.0.2.1:53"); got != 2 {
			t.Errorf("%v probes came back, want 2", got)
		}
		if n := strings.Count(c.log.String(), "Loop ("); n != 1 || !strings.Contains(c.log.String(), "is gone") {
			t.Errorf("log is %q", c.log)
		}
	})
}

// An upstream that does not answer yet is probed each second for half a minute, as by CoreDNS, and then more rarely.
func TestSilentUpstream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{addr: "192.0.2.1:53", zone: ".", script: silent}
		c := newChain(t, u)
		c.run(eagerTime + 2*latePause + time.Second)
		if n, quarantined := u.state(); n != 33 || quarantined { // at 0 s, 1 s … 30 s, 60 s and 90 s
			t.Errorf("%d probes, quarantine %v, want 33 and none", n, quarantined)
		}
		seen := map[string]bool{}
		for _, name := range u.probes {
			seen[name] = true
		}
		if len(seen) != len(u.probes) {
			t.Errorf("%d names for %d probes", len(seen), len(u.probes))
		}
	})
}

// Upstreams that a resolv.conf brings later are probed as well.
func TestNewUpstream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first, later := &upstream{addr: "192.0.2.1:53", zone: ".", script: answers}, &upstream{addr: "192.0.2.2:53", zone: "."}
		c := newChain(t, first)
		later.set(c.back)
		c.run(time.Second)
		c.f.list = []plugin.Upstream{later}
		c.run(time.Second)
		if n, _ := first.state(); n != 1 {
			t.Errorf("%d probes of the first, want 1", n)
		}
		if _, quarantined := later.state(); !quarantined || len(c.h.suspects) != 1 {
			t.Errorf("quarantine of the later one is %v; %d suspects", quarantined, len(c.h.suspects))
		}
	})
}

// Probes are in a zone that is both the server block's and the upstream's.
func TestZones(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		block    []string
		upstream string
		want     string // suffix of the probe; empty for none
	}{
		{name: "the same", block: []string{"."}, upstream: ".", want: "."},
		{name: "the upstream's is deeper", block: []string{"."}, upstream: "example.org.", want: ".example.org."},
		{name: "the block's is deeper", block: []string{"cluster.local."}, upstream: ".", want: ".cluster.local."},
		{name: "the second of the block", block: []string{"a.", "b."}, upstream: "b.", want: ".b."},
		{name: "none in common", block: []string{"a."}, upstream: "b."},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				u := &upstream{addr: "192.0.2.1:53", zone: test.upstream, script: answers}
				c := newChain(t, u)
				c.env.Zones = nil
				for _, text := range test.block {
					zone, err := wire.ParseName(text)
					if err != nil {
						t.Fatal(err)
					}
					c.env.Zones = append(c.env.Zones, zone)
				}
				c.run(time.Second)
				if test.want == "" {
					if len(u.probes) != 0 {
						t.Errorf("probes are %v, want none", u.probes)
					}
					return
				}
				if len(u.probes) != 1 || !strings.HasSuffix(u.probes[0], test.want) || strings.Count(u.probes[0], ".") != strings.Count(test.want, ".")+1 {
					t.Errorf("probes are %v, want two labels and %q", u.probes, test.want)
				}
			})
		})
	}
}

// A loop may lead back to another server block than the one whose upstream it is.
func TestThroughAnotherBlock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{addr: "192.0.2.1:53", zone: "."}
		c, other := newChain(t, u), newChain(t)
		both := block.Instance{
			{Server: "dns://:53", Zone: ".", Handlers: []plugin.Handler{c.h, c.f}},
			{Server: "dns://127.0.0.1:53", Zone: ".", Handlers: []plugin.Handler{other.h, other.f}},
		}
		for _, h := range []*Handler{c.h, other.h} {
			h.env.Instance, h.all = both, nil
			if err := h.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		u.set(other.back)
		c.run(time.Second)
		if _, quarantined := u.state(); !quarantined {
			t.Error("not in quarantine")
		}
	})
}

// Others' questions are none of its business, HINFO or not.
func TestServePassesOn(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	for _, qtype := range []uint16{dns.TypeA, dns.TypeHINFO} {
		x := block.NewExchange(t, "1.2.", qtype)
		if err := block.Serve(x, c.h, c.f); err != nil || x.Reply.Rcode() != dns.RcodeSuccess {
			t.Errorf("error %v, rcode %d", err, x.Reply.Rcode())
		}
	}
	if c.next != 2 {
		t.Errorf("%d queries were handed on, want 2", c.next)
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, corefile, want string }{
		{name: "twice", corefile: ". {\n loop\n loop\n}", want: "Corefile:3: loop: given twice in a server block; the first one is at Corefile:2"},
		{name: "an argument", corefile: ". {\n loop .\n}", want: `Corefile:2: loop: takes no argument, but has "."`},
		{name: "a body", corefile: ". {\n loop {\n }\n}", want: "Corefile:2: loop: takes no options in { }"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, test.corefile, "loop"))
			if err == nil || err.Error() != test.want {
				t.Errorf("error is\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

func TestReadme(t *testing.T) {
	t.Parallel()
	block.BuildExamples(t, Spec())
}
