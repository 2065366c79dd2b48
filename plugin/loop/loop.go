// Package loop is the directive that finds upstreams which lead back to this server, and keeps queries from them.
//
// Each upstream of the server block's forward is asked for a name that nobody else can know. Does the question arrive here,
// that upstream has sent it, and goes into quarantine: of several, the others answer on. CoreDNS asks itself instead,
// which tells that there is a loop but not where, and ends the process: its cluster then has no DNS at all, for the sake
// of what is most often a line in one node's resolv.conf.
package loop

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"strconv"
	"sync"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "loop",
		Summary: "keeps queries from upstreams that lead back to this server",
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	line, err := corefile.Only(lines)
	if err != nil {
		return nil, err
	}
	var problems corefile.Errors
	problems.Join(line.WantArgs(0, 0, "loop"))
	problems.Join(line.NoBody())
	if err := problems.Err(); err != nil {
		return nil, err
	}
	detected, err := plugin.Register(env.Metrics, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "nameplane_loop_detected_total",
		Help: "Number of probes of an upstream that came back here.",
	}, []string{"zone", "to"}))
	if err != nil {
		return nil, line.Errorf("%v", err)
	}
	return &Handler{env: env, detected: detected, suspects: map[plugin.Upstream]*suspect{}}, nil
}

// Handler sees the probes that come back.
type Handler struct {
	env      *plugin.Env
	detected *prometheus.CounterVec
	all      []*Handler // of all server blocks: a loop may lead through several

	mu       sync.Mutex
	suspects map[plugin.Upstream]*suspect // guarded by mu
}

// suspect is an upstream and what is known of it.
type suspect struct {
	plugin.Upstream
	zone        wire.Name // that the probes are in
	probe       string    // the name of the last one, in wire form; guarded by Handler.mu
	returned    bool      // that one came back; guarded by Handler.mu
	quarantined bool      // guarded by Handler.mu
	cleared     bool      // it answered a probe that did not come back; guarded by Handler.mu
}

// Name is "loop".
func (h *Handler) Name() string { return "loop" }

// Start finds the other ones of this directive.
func (h *Handler) Start(context.Context) error {
	seen := map[*Handler]bool{}
	for _, block := range h.env.Instance.Blocks() {
		for _, link := range block.Handlers {
			if other, ok := link.(*Handler); ok && !seen[other] {
				seen[other] = true
				h.all = append(h.all, other)
			}
		}
	}
	return nil
}

// Serve answers a probe that came back, so that it goes round no more. All other queries are handed on.
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	if x.Query.Type != dns.TypeHINFO {
		return x.Next(ctx)
	}
	for _, other := range h.all {
		if other.takeBack(x) {
			x.Reply.Start(&x.Query, dns.RcodeNameError)
			return nil
		}
	}
	return x.Next(ctx)
}

// takeBack looks whether x is a probe of h's, and puts the upstream that it was sent to in quarantine.
func (h *Handler) takeBack(x *plugin.Exchange) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.suspects {
		if s.probe != string(x.Query.Name()) {
			continue
		}
		if !s.returned { // some ask more than once
			s.returned = true
			h.detected.WithLabelValues(s.zone.String(), s.String()).Inc()
		}
		if !s.quarantined {
			s.quarantined = true
			s.Quarantine(true)
			h.env.Log.Error(fmt.Sprintf("Loop (%s -> %s -> %s) detected for zone %q: the upstream is not asked any more until it is gone. Query: \"HINFO %s\"",
				s, x.Client, x.Local, s.zone, x.Query.NameString()))
		}
		return true
	}
	return false
}

// ask sends a probe to s, and notes what comes of it.
func (h *Handler) ask(ctx context.Context, s *suspect) {
	name, q, err := newProbe(s.zone)
	if err != nil {
		h.env.Log.Warn("cannot make a probe", slog.String("to", s.String()), slog.Any("error", err))
		return
	}
	h.mu.Lock()
	s.probe, s.returned = string(name), false
	h.mu.Unlock()
	err = s.Ask(ctx, q)

	h.mu.Lock()
	defer h.mu.Unlock()
	if s.returned || err != nil { // who does not answer has not shown that it leads elsewhere
		return
	}
	s.cleared = true
	if s.quarantined {
		s.quarantined = false
		s.Quarantine(false)
		h.env.Log.Info(fmt.Sprintf("the loop by %s for zone %q is gone: the upstream is asked again", s, s.zone))
	}
}

// newProbe is a question for a name in zone that cannot be guessed: HINFO, as CoreDNS asks.
func newProbe(zone wire.Name) (wire.Name, *wire.Query, error) {
	name, err := wire.ParseName(number() + "." + number())
	if err != nil {
		return "", nil, err
	}
	name = name.Join(zone)
	packet, err := new(dns.Msg).SetQuestion(name.String(), dns.TypeHINFO).Pack()
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", name, err)
	}
	q := new(wire.Query)
	return name, q, q.Parse(packet)
}

func number() string {
	var random [8]byte
	rand.Read(random[:]) // it never fails: package rand
	return strconv.FormatUint(binary.BigEndian.Uint64(random[:])>>2, 10)
}
