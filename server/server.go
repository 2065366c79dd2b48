package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

// Defaults of Options.
const (
	// DefaultPort is that of keys without one.
	DefaultPort = 53
	// DefaultWaiting bounds the queries that wait at a time. Each holds 10 KiB, a 4 KiB buffer and the goroutine's
	// stack the most of it: 84 MiB if an upstream is dead under full load.
	DefaultWaiting = 8192
	// DefaultConnections bounds the TCP connections of an address: those of the caches on 5000 nodes fit.
	DefaultConnections = 8192
	// DefaultTLSConnections bounds those by TLS, each of which holds 36 KiB: 72 MiB all together.
	DefaultTLSConnections = 2048
	// DefaultGrace is how long queries under way may take at the end, as in CoreDNS.
	DefaultGrace = 5 * time.Second
)

// Options are what a Corefile does not say. The zero value of a field stands for its default.
type Options struct {
	Specs       []plugin.Spec        // the directives, in the order of the chain
	Port        uint16               // of keys without one
	Version     string               // of the program
	Out         io.Writer            // gets a line for each zone once it is served; nil for none
	Log         *slog.Logger         // of the server and, in groups "plugin/NAME", of directives
	Level       *slog.LevelVar       // of Log; set to debug while the directive debug stands anywhere
	Metrics     *prometheus.Registry // of the process
	Now         func() time.Time     // the clock
	Shards      int                  // UDP sockets of an address
	Waiting     int                  // queries that may wait at a time
	Connections int                  // TCP connections of an address; by TLS no more than DefaultTLSConnections
	Grace       time.Duration        // for queries under way at the end
	Timeouts    plugin.Timeouts      // of connections, where no directive says otherwise

	Load func() (*corefile.File, error) // reads the Corefile again; nil where that is impossible
}

func (o Options) withDefaults() Options {
	if o.Port == 0 {
		o.Port = DefaultPort
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Level == nil {
		o.Level = new(slog.LevelVar)
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Shards == 0 {
		o.Shards = runtime.GOMAXPROCS(0)
	}
	if !sharded {
		o.Shards = 1
	}
	if o.Waiting == 0 {
		o.Waiting = DefaultWaiting
	}
	if o.Connections == 0 {
		o.Connections = DefaultConnections
	}
	o.Timeouts = o.Timeouts.Or(plugin.Timeouts{Read: firstTimeout, Idle: idleTimeout, Write: writeTimeout})
	if o.Grace == 0 {
		o.Grace = DefaultGrace
	}
	return o
}

// Server is a DNS server: the sockets, and the instance that answers on them.
type Server struct {
	options Options
	meters  *meters
	waiters *waiters
	started chan struct{} // closed once it answers

	mu        sync.Mutex  // held while an instance is started, swapped or stopped
	made      *instance   // guarded by mu
	running   *task       // guarded by mu; the instance's Runners
	former    []*instance // guarded by mu; replaced just before the end, when queries were still under way in them
	listeners map[address]*listener
	web       *web
	queries   context.Context // guarded by mu; nil unless Run is under way
	failed    chan error      // of a Runner
	refresh   chan struct{}   // holds one when a reload is wanted at once
}

// task is the Runners of one instance.
type task struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// New makes a server of a Corefile. It opens and starts nothing. The error is everything that is wrong with the file.
func New(file *corefile.File, options Options) (*Server, error) {
	options = options.withDefaults()
	m, err := newMeters(options.Metrics)
	if err != nil {
		return nil, err
	}
	s := &Server{
		options: options, meters: m, started: make(chan struct{}), failed: make(chan error, 1),
		refresh:   make(chan struct{}, 1),
		waiters:   &waiters{max: int64(options.Waiting), shed: m.shed},
		listeners: map[address]*listener{},
		web:       &web{log: options.Log, sockets: map[string]*httpSocket{}},
	}
	s.made, err = build(file, &s.options, m, nil)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Started is closed once the server answers.
func (s *Server) Started() <-chan struct{} { return s.started }

// Run serves until ctx ends, then drains: it answers on with live data while the instance's Drainers take their time,
// finishes the queries under way, and gives everything back. It returns nil after an orderly stop.
func (s *Server) Run(ctx context.Context) error {
	queries, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s.mu.Lock()
	s.queries = queries
	err := s.replace(ctx, s.made)
	s.mu.Unlock()
	if err != nil {
		if ctx.Err() != nil { // told to stop before it began
			err = nil
		}
		return errors.Join(err, s.made.close())
	}
	close(s.started)
	stopWatching := s.watch(ctx)
	select {
	case <-ctx.Done():
		s.options.Log.Info("draining")
	case err = <-s.failed:
	}
	stopWatching()
	return errors.Join(err, s.shutdown(err == nil, cancel))
}

// Reload puts the instance of another Corefile in the place of the one that answers, between two queries. Sockets that
// both use stay as they are. After an error the old instance answers on. The error is everything that is wrong. It returns
// once the old instance's queries are answered, or ctx ends.
func (s *Server) Reload(ctx context.Context, file *corefile.File) error {
	s.mu.Lock()
	kept := s.made.kept
	s.mu.Unlock()
	made, err := build(file, &s.options, s.meters, kept)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queries == nil {
		return fmt.Errorf("the server is not running")
	}
	old, running := s.made, s.running
	if err := s.replace(ctx, made); err != nil {
		return errors.Join(err, made.close())
	}
	s.options.Log.Info("reloaded", "corefile", file.Name)
	s.conclude(ctx, old, running)
	return nil
}

// conclude ends an instance that was replaced, once its queries are answered. When ctx ends it leaves that to shutdown. s.mu
// is held.
func (s *Server) conclude(ctx context.Context, old *instance, running *task) {
	limit, cancel := context.WithTimeout(ctx, s.options.Grace)
	defer cancel()
	running.stop(limit)
	s.retire(ctx, limit)
	for _, t := range old.tables {
		err := t.quiesce(limit)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			s.former = append(s.former, old)
			return
		default:
			s.options.Log.Warn("the old instance is closed all the same", "error", err)
		}
	}
	if err := old.close(); err != nil {
		s.options.Log.Warn("the old instance is not closed well", "error", err)
	}
}

// replace starts an instance and makes it the one that answers. After an error nothing has changed. s.mu is held.
func (s *Server) replace(ctx context.Context, made *instance) error {
	pages, err := s.web.open(made)
	if err != nil {
		return err
	}
	if err := made.start(ctx); err != nil {
		s.web.closeAll(pages)
		return err
	}
	fresh, err := s.bind(ctx, made)
	if err != nil {
		s.web.closeAll(pages)
		return err
	}
	level := slog.LevelInfo
	if made.debug() {
		level = slog.LevelDebug
	}
	s.options.Level.Set(level)
	s.running = s.run(made)
	for a, t := range made.tables {
		if l := fresh[a]; l != nil {
			s.listeners[a] = l
		}
		s.listeners[a].table.Store(t)
	}
	for _, l := range fresh {
		l.serve(s.queries)
	}
	s.web.swap(made, pages)
	s.made = made
	s.meters.serves(made)
	if made.reload.Every > 0 {
		s.options.Log.WithGroup("plugin/reload").Info(fmt.Sprintf("Running configuration SHA512 = %x", made.sum))
	}
	announce(s.options.Out, made)
	return nil
}

// bind opens the addresses of an instance that are not open yet. After an error none of them is.
func (s *Server) bind(ctx context.Context, made *instance) (map[address]*listener, error) {
	fresh := map[address]*listener{}
	var problems corefile.Errors
	for _, at := range made.sites {
		a := at.address
		if s.listeners[a] == nil && fresh[a] == nil && !s.holds(a.port) {
			if err := probe(ctx, a); err != nil {
				problems.Add(at.at, "%v", err)
			}
		}
		fresh[a] = s.listeners[a]
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	for _, at := range made.sites {
		a := at.address
		if fresh[a] != nil {
			continue
		}
		l := &listener{address: a, options: &s.options, waiters: s.waiters, meters: s.meters, log: s.options.Log}
		if err := l.open(ctx); err != nil {
			problems.Add(at.at, "%v", err)
			continue
		}
		fresh[a] = l
	}
	maps.DeleteFunc(fresh, func(a address, l *listener) bool { return l == nil || l == s.listeners[a] })
	if err := problems.Err(); err != nil {
		for _, l := range fresh {
			l.close()
		}
		return nil, err
	}
	return fresh, nil
}

// holds tells whether one of our own listeners has a port, so that asking whether it is free makes no sense.
func (s *Server) holds(port uint16) bool {
	for a := range s.listeners {
		if a.port == port {
			return true
		}
	}
	return false
}

// run runs an instance's Runners.
func (s *Server) run(made *instance) *task {
	ctx, cancel := context.WithCancel(s.queries)
	t := &task{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		if err := made.run(ctx); err != nil {
			select {
			case s.failed <- err:
			default: // one is enough to end the process
			}
		}
	}()
	return t
}

// stop ends the Runners, and waits for that until ctx ends.
func (t *task) stop(ctx context.Context) {
	t.cancel()
	select {
	case <-t.done:
	case <-ctx.Done():
	}
}

// retire ends the listeners that the instance does not name any more, until limit ends; when ctx ends it leaves the rest
// to shutdown. s.mu is held.
func (s *Server) retire(ctx, limit context.Context) {
	for a, l := range s.listeners {
		if s.made.tables[a] != nil {
			continue
		}
		err := l.stop(limit)
		if ctx.Err() == nil {
			s.cutOff(l, err)
			delete(s.listeners, a)
		}
	}
}

// cutOff closes a listener that was stopped, too early if there was an error.
func (s *Server) cutOff(l *listener, err error) {
	if err != nil {
		s.options.Log.Warn("stopped too early", "error", err)
	}
	l.close()
}

// shutdown ends everything, in the order in which it can be done without.
func (s *Server) shutdown(drain bool, cancel func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if drain {
		s.made.drain(s.queries)
	}
	limit, done := context.WithTimeout(context.WithoutCancel(s.queries), s.options.Grace)
	defer done()
	var sockets sync.WaitGroup
	for _, l := range s.listeners {
		sockets.Go(func() { s.cutOff(l, l.stop(limit)) })
	}
	sockets.Wait()
	cancel()
	s.running.stop(limit)
	s.web.closeAll(s.web.sockets)
	s.queries = nil
	var errs []error
	for _, i := range append(s.former, s.made) {
		errs = append(errs, i.close())
	}
	return errors.Join(errs...)
}

// FreePort finds a port that is free for UDP and TCP on all addresses, below those that the system gives to clients: it
// is still free a moment later.
func FreePort(ctx context.Context) (uint16, error) {
	var err error
	for range 100 {
		port := 20000 + uint16(rand.IntN(12000))
		if err = probe(ctx, address{port: port}); err == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port found: %w", err)
}
