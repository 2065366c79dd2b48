package forward

import (
	"context"
	"slices"
	"time"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// asked is one upstream of one line.
type asked struct {
	forward  *forward
	upstream *upstream
}

// Upstreams implements plugin.Forwarder.
func (h *Handler) Upstreams() (all []plugin.Upstream) {
	for _, f := range h.forwards {
		for _, u := range *f.upstreams.Load() {
			all = append(all, asked{f, u})
		}
	}
	return all
}

// String is the upstream's address.
func (a asked) String() string { return a.upstream.to }

// Zone is the line's first zone.
func (a asked) Zone() wire.Name { return a.forward.from[0] }

// Ask implements plugin.Upstream.
func (a asked) Ask(ctx context.Context, q *wire.Query) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(a.forward.total)
	}
	return a.upstream.query(q, a.upstream.check.tcp, deadline)
}

// Quarantine implements plugin.Upstream.
func (a asked) Quarantine(on bool) { a.upstream.quarantined.Store(on) }

// admitted are the upstreams that are not in quarantine.
func (f *forward) admitted() []*upstream {
	all := *f.upstreams.Load()
	if !slices.ContainsFunc(all, (*upstream).isQuarantined) {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), (*upstream).isQuarantined)
}

func (u *upstream) isQuarantined() bool { return u.quarantined.Load() }
