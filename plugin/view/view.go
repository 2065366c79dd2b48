// Package view is the directive that chooses a server block's queries by an expression, so that several blocks may share a
// zone: split DNS.
//
// Its expressions are those of package expression: a misspelled one is an error at its line, and not a block that never
// gets a query.
package view

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/plugin/expression"
)

// Handler chooses the queries of its server block.
type Handler struct {
	env       *plugin.Env
	name      string
	programs  []*expression.Program
	collector collector // nil where the block has no metadata
	queries   sync.Pool // of *expression.Query
}

// collector is the directive metadata, which no query has reached yet when an expression asks for some.
type collector interface {
	Collect(x *plugin.Exchange) *plugin.Metadata
}

// Name is "view".
func (h *Handler) Name() string { return "view" }

// View is the name that the Corefile gives.
func (h *Handler) View() string { return h.name }

// Start finds the directive metadata of the same server block.
func (h *Handler) Start(context.Context) error {
	for _, block := range h.env.Instance.Blocks() {
		if !slices.Contains(block.Handlers, plugin.Handler(h)) {
			continue
		}
		for _, link := range block.Handlers {
			if c, ok := link.(collector); ok {
				h.collector = c
			}
		}
	}
	return nil
}

// Serve has nothing more to do.
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error { return x.Next(ctx) }

// Metadata implements plugin.Provider.
func (h *Handler) Metadata(_ *plugin.Asked, label string) (value string, ok bool) {
	return h.name, label == "view/name"
}

// Admits implements plugin.Filter: every expression has to be true. One that fails, because it was given no address where
// one is wanted, is not.
func (h *Handler) Admits(x *plugin.Exchange) bool {
	q, ok := h.queries.Get().(*expression.Query)
	if !ok {
		q = expression.NewQuery()
	}
	var metadata *plugin.Metadata
	q.Begin(x, func() *plugin.Metadata {
		if metadata == nil && h.collector != nil {
			metadata = h.collector.Collect(x)
		}
		return metadata
	})
	defer func() {
		q.End()
		h.queries.Put(q)
	}()
	for _, p := range h.programs {
		holds, err := q.Holds(p)
		if err != nil {
			h.env.Log.Debug("an expression failed, so the query is another block's", "view", h.name, "error", err, slog.String("name", x.Query.NameString()))
		}
		if !holds {
			return false
		}
	}
	return true
}
