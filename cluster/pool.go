package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// Pool lets all consumers of one origin share one Store, and lets a Store outlive a reload that did not change its
// origin: the new instance takes its Lease before the old one gives its own back.
type Pool struct {
	open Opener
	log  *slog.Logger

	mu     sync.Mutex
	shares map[string][]*share // guarded by mu; by origin
}

// share is one Store with those who hold it.
type share struct {
	origin  Origin
	told    Telemetry // of the first holder that wants any
	store   *Store
	writer  *Writer
	holders int    // guarded by Pool.mu
	needs   Needs  // guarded by Pool.mu; fixed once running
	running bool   // guarded by Pool.mu
	cancel  func() // ends the source
	done    chan struct{}
}

// NewPool is a Pool whose sources open makes.
func NewPool(open Opener, log *slog.Logger) *Pool {
	return &Pool{open: open, log: log, shares: map[string][]*share{}}
}

// Lease is one consumer's hold of a shared Store.
type Lease struct {
	Store  *Store
	Writer *Writer // for Watch
	Source string  // what fills the Store: a server's URL, a folder

	pool  *Pool
	share *share
	once  sync.Once
}

// Lease takes a hold of the origin's Store. Nothing is opened before Start.
func (p *Pool) Lease(origin Origin, needs Needs, telemetry Telemetry) (*Lease, error) {
	needs = needs.Full()
	if len(origin.Manifests) == 0 {
		origin.ServiceCIDRs = nil // an API server gives services their addresses itself
	}
	source, err := p.open(origin, needs, Telemetry{})
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	key := fmt.Sprintf("%+v", origin)
	s := p.match(key, needs)
	if s == nil {
		s = &share{origin: origin, done: make(chan struct{})}
		s.store, s.writer = NewStore()
		p.shares[key] = append(p.shares[key], s)
	}
	s.needs = s.needs.Union(needs)
	if s.told.Request == nil {
		s.told = telemetry
	}
	s.holders++
	return &Lease{Store: s.store, Writer: s.writer, Source: source.String(), pool: p, share: s}, nil
}

// match is the share that can serve needs: one that runs with enough, or one that does not run yet.
func (p *Pool) match(key string, needs Needs) *share {
	for _, s := range p.shares[key] {
		if s.needs.Covers(needs) || !s.running && s.needs.Joins(needs) {
			return s
		}
	}
	return nil
}

// Start makes the source run, if it does not yet. It returns at once; the Store tells when it is synced.
func (l *Lease) Start() error {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	s := l.share
	if s.holders == 0 {
		return errors.New("the lease was given back: nobody would end the source")
	}
	if s.running {
		return nil
	}
	source, err := l.pool.open(s.origin, s.needs, s.told)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.running, s.cancel = true, cancel
	go func() {
		defer close(s.done)
		if err := source.Run(ctx, s.writer); err != nil && !errors.Is(err, context.Canceled) {
			s.writer.Fail("%s: %v", source, err)
			l.pool.log.Error("the source of cluster objects stopped", "source", source.String(), "error", err)
		}
	}()
	return nil
}

// Release gives the hold back. The last one ends the source and waits for its end.
func (l *Lease) Release() { l.once.Do(l.release) }

func (l *Lease) release() {
	p, s := l.pool, l.share
	p.mu.Lock()
	s.holders--
	last := s.holders == 0
	if last {
		p.forget(s)
	}
	running := s.running
	p.mu.Unlock()
	if last && running {
		s.cancel()
		<-s.done
	}
}

// Statuses are those of all stores whose source runs.
func (p *Pool) Statuses() (all []Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, list := range p.shares {
		for _, s := range list {
			if s.running {
				all = append(all, s.store.Status())
			}
		}
	}
	return all
}

func (p *Pool) forget(s *share) {
	for key, list := range p.shares {
		for i, have := range list {
			if have == s {
				p.shares[key] = append(list[:i:i], list[i+1:]...)
			}
		}
		if len(p.shares[key]) == 0 {
			delete(p.shares, key)
		}
	}
}
