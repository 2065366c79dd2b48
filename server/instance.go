package server

import (
	"context"
	"crypto/sha512"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

// instance is everything that one Corefile made, without the sockets.
type instance struct {
	sites  []*site
	parts  []part
	pages  []*page
	tables map[address]*table
	kept   map[string]any // what the next instance may take over: see keeper
	reload plugin.Reload
	sum    [sha512.Size]byte // of the Corefile
}

// block is a server block: its chain is built once and shared by all its keys.
type block struct {
	keys   []key
	listen plugin.Listen
	chain  []plugin.Handler
}

// filters are the handlers that choose the block's queries, and the name of its view; none for a block that takes all.
func (b *block) filters() (list []plugin.Filter, view string) {
	for _, h := range b.chain {
		if f, ok := h.(plugin.Filter); ok {
			list, view = append(list, f), f.View()
		}
	}
	return list, view
}

// part is a handler with the place that its errors name.
type part struct {
	handler plugin.Handler
	at      corefile.Position
}

func (p part) errorf(err error) error {
	return &corefile.Error{Pos: p.at, Problem: fmt.Sprintf("%s: %v", p.handler.Name(), err)}
}

// Blocks implements plugin.Instance.
func (i *instance) Blocks() []plugin.Block {
	blocks := make([]plugin.Block, len(i.sites))
	for n, s := range i.sites {
		_, view := s.block.filters()
		blocks[n] = plugin.Block{Server: s.address.String(), Zone: s.zone.String(), View: view, Handlers: s.block.chain}
	}
	return blocks
}

// makeTables groups the sites by address.
func (i *instance) makeTables(shards int, m *meters, o *Options) {
	i.tables = map[address]*table{}
	for _, s := range i.sites {
		t := i.tables[s.address]
		if t == nil {
			t = &table{server: s.address.String(), flights: make([]flights, shards), panics: m.panics, log: o.Log}
			i.tables[s.address] = t
		}
		z := &zone{name: s.zone.String(), chain: s.block.chain}
		z.filters, z.view = s.block.filters()
		t.add(s.zone, z)
		of := &s.block.listen
		t.listen.Debug = t.listen.Debug || of.Debug
		t.listen.Stacktrace = t.listen.Stacktrace || of.Stacktrace
		t.listen.AnyClass = t.listen.AnyClass || of.AnyClass
		t.listen.Timeouts = of.Timeouts.Or(t.listen.Timeouts)
		t.listen.TLS = of.TLS
	}
	for a, t := range i.tables {
		t.listen.Timeouts = t.listen.Timeouts.Or(o.Timeouts)
		t.observers = i.observers(a)
	}
}

// observers are those of an address's blocks, one of each directive: a query that no block answered is to be counted
// once, not once a block.
func (i *instance) observers(a address) []plugin.Observer {
	byName := map[string]plugin.Observer{}
	for _, s := range i.sites {
		for _, h := range s.block.chain {
			if o, ok := h.(plugin.Observer); ok && s.address == a && byName[h.Name()] == nil {
				byName[h.Name()] = o
			}
		}
	}
	var list []plugin.Observer
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		list = append(list, byName[name])
	}
	return list
}

// debug tells whether any block wants debugging messages.
func (i *instance) debug() bool {
	return slices.ContainsFunc(i.sites, func(s *site) bool { return s.block.listen.Debug })
}

// start runs all Starters at once and returns what they say, with their places.
func (i *instance) start(ctx context.Context) error {
	errs := make([]error, len(i.parts))
	var tasks sync.WaitGroup
	for n, p := range i.parts {
		if s, ok := p.handler.(plugin.Starter); ok {
			tasks.Go(func() {
				if err := s.Start(ctx); err != nil {
					errs[n] = p.errorf(err)
				}
			})
		}
	}
	tasks.Wait()
	var problems corefile.Errors
	for _, err := range errs {
		problems.Join(err)
	}
	return problems.Err()
}

// run runs all Runners until ctx ends. The first error ends the others.
func (i *instance) run(ctx context.Context) error {
	tasks, ctx := errgroup.WithContext(ctx)
	for _, p := range i.parts {
		if r, ok := p.handler.(plugin.Runner); ok {
			tasks.Go(func() error {
				if err := r.Run(ctx); err != nil && ctx.Err() == nil {
					return p.errorf(err)
				}
				return nil
			})
		}
	}
	return tasks.Wait()
}

// drain runs all Drainers at once.
func (i *instance) drain(ctx context.Context) {
	var tasks sync.WaitGroup
	for _, p := range i.parts {
		if d, ok := p.handler.(plugin.Drainer); ok {
			tasks.Go(func() { d.Drain(ctx) })
		}
	}
	tasks.Wait()
}

// close gives back what handlers hold, the last built first.
func (i *instance) close() error {
	var problems corefile.Errors
	for _, p := range slices.Backward(i.parts) {
		if c, ok := p.handler.(plugin.Closer); ok {
			if err := c.Close(); err != nil {
				problems.Join(p.errorf(err))
			}
		}
	}
	return problems.Err()
}
