// Package metadata is the directive by which directives learn what others know of a query: a log line the namespace that
// kubernetes read out of a name, an expression of view the label of the pod that asks.
//
// CoreDNS collects all values before each query. Here the query carries who can be asked (plugin.Metadata), and nothing is
// worked out that nobody reads; without the directive there is nothing to carry.
package metadata

import (
	"context"
	"slices"
	"sync"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "metadata",
		Summary: "lets directives read what others know of a query",
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	line, err := corefile.Only(lines)
	if err != nil {
		return nil, err
	}
	var problems corefile.Errors
	zones, err := plugin.ParseZones(line.Args, env.Zones)
	problems.Join(err)
	problems.Join(line.NoBody())
	if err := problems.Err(); err != nil {
		return nil, err
	}
	env.Metadata = true
	return &Handler{env: env, zones: zones}, nil
}

// Handler gives queries their metadata.
type Handler struct {
	env       *plugin.Env
	zones     plugin.Zones
	providers []plugin.Provider
	pool      sync.Pool // of *plugin.Metadata
}

// Name is "metadata".
func (h *Handler) Name() string { return "metadata" }

// Start finds the directives of the server block that know something.
func (h *Handler) Start(context.Context) error {
	for _, block := range h.env.Instance.Blocks() {
		if !slices.Contains(block.Handlers, plugin.Handler(h)) {
			continue
		}
		for _, link := range block.Handlers {
			if p, ok := link.(plugin.Provider); ok {
				h.providers = append(h.providers, p)
			}
		}
		return nil
	}
	return nil
}

// Collect is the metadata of a query that may not reach the chain; nil outside the directive's zones.
func (h *Handler) Collect(x *plugin.Exchange) *plugin.Metadata {
	if !h.zones.Contains(&x.Query) {
		return nil
	}
	m := new(plugin.Metadata)
	m.Begin(x, h.providers)
	return m
}

// Serve lets the rest of the chain read and set the query's metadata.
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	if !h.zones.Contains(&x.Query) {
		return x.Next(ctx)
	}
	m, ok := h.pool.Get().(*plugin.Metadata)
	if !ok {
		m = new(plugin.Metadata)
	}
	m.Begin(x, h.providers)
	x.Metadata = m
	err := x.Next(ctx)
	x.Metadata = nil
	m.End()
	h.pool.Put(m)
	return err
}
