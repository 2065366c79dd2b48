// Package ready is the directive that lets a cluster ask whether answers can be given. All server blocks are asked, not
// only those it stands in, and every handler by itself: a process whose cluster data is still loading is not to get
// queries, whichever block holds the data.
package ready

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

const path = "/ready"

// The values of monitor.
const (
	untilReady   = "until-ready"
	continuously = "continuously"
)

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "ready",
		Summary: "tells by HTTP whether answers can be given",
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	line, err := corefile.Only(lines)
	if err != nil {
		return nil, err
	}
	var problems corefile.Errors
	h := &Handler{env: env, monitor: untilReady}
	addr, err := line.Address(":8181")
	problems.Join(err)
	problems.Join(line.Decode(corefile.Enum("monitor", &h.monitor, untilReady, continuously)))
	if err := problems.Err(); err != nil {
		return nil, err
	}
	if err := env.Web.Handle(line.Pos, addr, path, h); err != nil {
		return nil, err
	}
	return h, nil
}

// readier is a link of a chain that may not be able to answer yet.
type readier interface {
	plugin.Handler
	plugin.Readier
}

// Handler has no part in answering queries; it is the page.
type Handler struct {
	env      *plugin.Env
	monitor  string
	started  atomic.Bool
	draining atomic.Bool

	mu    sync.Mutex // guards what follows
	ready map[readier]bool
	said  string // what was logged last
}

// Name is "ready".
func (h *Handler) Name() string { return "ready" }

// Serve hands every query on.
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error { return x.Next(ctx) }

// Start says that all blocks are built, so that they may be asked.
func (h *Handler) Start(context.Context) error {
	h.started.Store(true)
	return nil
}

// Drain turns the page at once: queries are answered on, but new clients are not wanted.
func (h *Handler) Drain(context.Context) { h.draining.Store(true) }

// Same tells that one page speaks for all blocks.
func (h *Handler) Same(other http.Handler) bool {
	_, ok := other.(*Handler)
	return ok
}

// ServeHTTP answers by 200 "OK", or by 503 and the names of the directives that are not ready, joined by commas.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, text := http.StatusServiceUnavailable, "Shutting down"
	switch {
	case h.draining.Load():
	case !h.started.Load():
		text = "Starting"
	default:
		if text = h.missing(r.Context()); text == "" {
			status, text = http.StatusOK, http.StatusText(http.StatusOK)
		}
	}
	w.WriteHeader(status)
	// An error here is the client's: it went away.
	_, _ = io.WriteString(w, text)
}

// missing asks the handlers. It is empty when all are ready.
func (h *Handler) missing(ctx context.Context) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var names, reasons []string
	readiers, forget := h.readiers()
	for _, r := range readiers {
		if h.ready[r] && !forget {
			continue
		}
		if err := r.Ready(); err != nil {
			names, reasons = append(names, r.Name()), append(reasons, r.Name()+": "+err.Error())
			continue
		}
		if h.ready == nil {
			h.ready = make(map[readier]bool)
		}
		h.ready[r] = true
	}
	slices.Sort(names)
	h.say(ctx, strings.Join(reasons, "; "))
	return strings.Join(slices.Compact(names), ",")
}

// readiers are those of all blocks, each once; forget tells whether any block wants them monitored continuously.
func (h *Handler) readiers() (list []readier, forget bool) {
	seen := make(map[readier]bool)
	for _, block := range h.env.Instance.Blocks() {
		for _, link := range block.Handlers {
			if other, ok := link.(*Handler); ok && other.monitor == continuously {
				forget = true
			}
			if r, ok := link.(readier); ok && !seen[r] {
				seen[r] = true
				list = append(list, r)
			}
		}
	}
	return list, forget
}

// say logs what is waited for when it changed: probes come every few seconds.
func (h *Handler) say(ctx context.Context, reasons string) {
	if reasons == h.said {
		return
	}
	h.said = reasons
	if reasons == "" {
		reasons = "nothing: all are ready"
	}
	h.env.Log.LogAttrs(ctx, slog.LevelInfo, "Waiting for "+reasons)
}
