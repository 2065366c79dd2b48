// Package pprof is the directive that shows the process's profiles by HTTP, for `go tool pprof`. They tell how the process
// works inside and cost time to make, so that nobody but the host itself gets them by default.
package pprof

import (
	"context"
	"net/http"
	"net/http/pprof"
	"runtime"
	"strconv"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

const (
	root        = "/debug/pprof"
	defaultAddr = "localhost:6053"
)

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "pprof",
		Summary: "shows profiles of the process by HTTP",
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	line, err := corefile.Only(lines)
	if err != nil {
		return nil, err
	}
	var problems corefile.Errors
	h := &Handler{}
	addr, err := line.Address(defaultAddr)
	problems.Join(err)
	problems.Join(line.Decode(corefile.Func("block", "block [RATE]", 0, 1, h.decodeBlock)))
	if err := problems.Err(); err != nil {
		return nil, err
	}
	for path, page := range map[string]http.HandlerFunc{
		root:              toRoot,
		root + "/":        pprof.Index,
		root + "/cmdline": pprof.Cmdline,
		root + "/profile": pprof.Profile,
		root + "/symbol":  pprof.Symbol,
		root + "/trace":   pprof.Trace,
	} {
		problems.Join(env.Web.Handle(line.Pos, addr, path, profile{page}))
	}
	return h, problems.Err()
}

// toRoot leads to the list of profiles, whose links are relative to it.
func toRoot(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, root+"/", http.StatusFound)
}

// profile is a page of the process's.
type profile struct{ http.HandlerFunc }

// Same tells that another block's page of the same path is the same process's.
func (profile) Same(other http.Handler) bool {
	_, same := other.(profile)
	return same
}

// Handler has no part in answering queries.
type Handler struct {
	blockRate int // nanoseconds of waiting a sample of the block profile; 0 for no such profile
}

// decodeBlock: without a rate every wait is in the profile.
func (h *Handler) decodeBlock(o *corefile.Directive) (err error) {
	h.blockRate = 1
	if len(o.Args) == 1 {
		if h.blockRate, err = strconv.Atoi(o.Args[0].Text); err != nil {
			return o.Errorf("%q is not a number of nanoseconds", o.Args[0].Text)
		}
	}
	return nil
}

// Name is "pprof".
func (h *Handler) Name() string { return "pprof" }

// Serve hands every query on.
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error { return x.Next(ctx) }

// Start sets the rate of the block profile, of which a process has one only.
func (h *Handler) Start(context.Context) error {
	runtime.SetBlockProfileRate(h.blockRate)
	return nil
}
