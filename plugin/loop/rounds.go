package loop

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// The first two are CoreDNS's: an upstream may come up later than this server does, but not much.
const (
	eagerTime  = 30 * time.Second // from the start
	eagerPause = time.Second      // between two probes of an upstream that did not answer yet
	latePause  = 30 * time.Second // the same after that, and between two probes of one in quarantine
	probeTime  = 2 * time.Second  // for an answer
)

// Run sends probes until ctx ends: to each upstream until it answers one that does not come back.
func (h *Handler) Run(ctx context.Context) error {
	forwarders := h.forwarders()
	if len(forwarders) == 0 {
		return nil
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for start := time.Now(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		unknown := h.round(ctx, forwarders)
		if unknown && time.Since(start) < eagerTime {
			timer.Reset(eagerPause)
		} else {
			timer.Reset(latePause)
		}
	}
}

// forwarders are those of the handler's own server block.
func (h *Handler) forwarders() (found []plugin.Forwarder) {
	for _, block := range h.env.Instance.Blocks() {
		for _, link := range block.Handlers {
			if link != plugin.Handler(h) {
				continue
			}
			for _, other := range block.Handlers {
				if f, ok := other.(plugin.Forwarder); ok {
					found = append(found, f)
				}
			}
			return found
		}
	}
	return nil
}

// round probes all upstreams that are not cleared, at the same time. It tells whether some are neither cleared nor in
// quarantine still.
func (h *Handler) round(ctx context.Context, forwarders []plugin.Forwarder) (unknown bool) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	var probes sync.WaitGroup
	for _, s := range h.list(forwarders) {
		probes.Go(func() { h.ask(ctx, s) })
	}
	probes.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.suspects {
		unknown = unknown || !s.cleared && !s.quarantined
	}
	return unknown
}

// list brings the suspects up to date with the upstreams, which may come and go, and returns those to be probed.
func (h *Handler) list(forwarders []plugin.Forwarder) (due []*suspect) {
	h.mu.Lock()
	defer h.mu.Unlock()
	there := map[plugin.Upstream]bool{}
	for _, f := range forwarders {
		for _, u := range f.Upstreams() {
			zone, ok := h.zone(u)
			if !ok {
				continue
			}
			there[u] = true
			s := h.suspects[u]
			if s == nil {
				s = &suspect{Upstream: u, zone: zone}
				h.suspects[u] = s
			}
			if !s.cleared || s.quarantined {
				due = append(due, s)
			}
		}
	}
	maps.DeleteFunc(h.suspects, func(u plugin.Upstream, _ *suspect) bool { return !there[u] })
	return due
}

// zone is one whose names reach u through this server block; there is none when the block serves none of u's.
func (h *Handler) zone(u plugin.Upstream) (wire.Name, bool) {
	for _, zone := range h.env.Zones {
		switch {
		case zone.Contains(u.Zone()):
			return u.Zone(), true
		case u.Zone().Contains(zone):
			return zone, true
		}
	}
	return "", false
}
