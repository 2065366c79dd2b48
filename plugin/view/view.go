// Package view is the directive that chooses a server block's queries by an expression, so that several blocks may share a
// zone: split DNS.
//
// Expressions are those of github.com/expr-lang/expr, as in CoreDNS: a language of our own, or a part of that one, would
// turn Corefiles into something to be translated. They are compiled when the Corefile is read, against the types of
// what they may ask, so that a misspelled function or a result that is not true or false is an error at its line, and not
// a block that never gets a query. They have no effects and no loops without end.
package view

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"

	"github.com/nameplane/nameplane/plugin"
)

// Handler chooses the queries of its server block.
type Handler struct {
	env       *plugin.Env
	name      string
	programs  []*vm.Program
	collector collector // nil where the block has no metadata
	queries   sync.Pool // of *query
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
	q, ok := h.queries.Get().(*query)
	if !ok {
		q = newQuery()
	}
	q.x, q.collector = x, h.collector
	defer func() {
		q.x, q.metadata = nil, nil
		h.queries.Put(q)
	}()
	for _, p := range h.programs {
		result, err := expr.Run(p, q.functions)
		if err != nil {
			h.env.Log.Debug("an expression failed, so the query is another block's", "view", h.name, "error", err, slog.Any("name", q.name()))
			return false
		}
		if yes, ok := result.(bool); !ok || !yes {
			return false
		}
	}
	return true
}
