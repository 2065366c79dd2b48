// Package cancel is the directive that gives every query a time to be answered in: what a handler waits for ends with it.
//
// Most queries are answered without waiting. Hence there is no timer until somebody asks for the context's Done channel, and a
// context that nobody asked serves a later query. Like the query itself, it is not to be used once Serve has returned.
package cancel

import (
	"context"
	"sync"
	"time"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

const (
	form = "cancel [TIMEOUT]"
	// defaultTimeout is just longer than a client waits (5 s: resolv.conf(5)).
	defaultTimeout = 5001 * time.Millisecond
)

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "cancel",
		Summary: "bounds the time in which a query is answered",
		Build:   build,
	}
}

func build(_ *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	line, err := corefile.Only(lines)
	if err != nil {
		return nil, err
	}
	h := &Handler{timeout: defaultTimeout}
	var problems corefile.Errors
	problems.Join(line.NoBody())
	problems.Join(line.WantArgs(0, 1, form))
	if len(line.Args) == 1 {
		problems.Join(corefile.Duration("cancel", form, &h.timeout, time.Nanosecond, 0).Decode(line))
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return h, nil
}

// Handler bounds the time of queries.
type Handler struct {
	timeout time.Duration
	free    sync.Pool // of *deadline
}

// Name is "cancel".
func (h *Handler) Name() string { return "cancel" }

// Serve hands on the query with a context that ends in time, and at the latest when Serve returns.
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	d, ok := h.free.Get().(*deadline)
	if !ok {
		d = new(deadline)
	}
	d.begin(ctx, x.Now.Add(h.timeout))
	err := x.Next(d)
	if d.end() {
		h.free.Put(d)
	}
	return err
}
