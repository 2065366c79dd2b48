package cluster

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// scripted is a source that tells what is asked of it.
type scripted struct {
	needs Needs
	fail  error

	mu      *sync.Mutex
	running map[*scripted]bool // guarded by mu, as are the counters of a fleet
	stopped *int
}

func (s *scripted) String() string { return "scripted" }

func (s *scripted) Run(ctx context.Context, w *Writer) error {
	w.Expect(s.String(), KindService)
	if s.fail != nil {
		return s.fail
	}
	s.set(true)
	w.BeginList(KindService)
	w.PutService(&ServiceSpec{Namespace: "n", Name: "a", Type: Headless})
	w.EndList(KindService)
	<-ctx.Done()
	s.set(false)
	return ctx.Err()
}

func (s *scripted) set(running bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if running {
		s.running[s] = true
		return
	}
	delete(s.running, s)
	*s.stopped++
}

// fleet opens scripted sources.
type fleet struct {
	mu      sync.Mutex
	running map[*scripted]bool
	stopped int
	bad     error // of Open
	fail    error // of Run
}

func (f *fleet) pool(log *strings.Builder) *Pool {
	f.running = map[*scripted]bool{}
	open := func(_ Origin, needs Needs, _ Telemetry) (Source, error) {
		return &scripted{needs: needs, fail: f.fail, mu: &f.mu, running: f.running, stopped: &f.stopped}, f.bad
	}
	return NewPool(open, slog.New(slog.NewTextHandler(log, nil)))
}

func (f *fleet) state() (running []Needs, stopped int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range f.running {
		running = append(running, s.needs)
	}
	return running, f.stopped
}

func lease(t *testing.T, p *Pool, origin Origin, needs Needs) *Lease {
	t.Helper()
	l, err := p.Lease(origin, needs, Telemetry{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func start(t *testing.T, leases ...*Lease) {
	t.Helper()
	for _, l := range leases {
		if err := l.Start(); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Wait()
}

// TestPoolShares: consumers of one origin share one store and one source, which has what all of them need.
func TestPoolShares(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f fleet
		p := f.pool(&strings.Builder{})
		origin := Origin{Kubeconfig: "a"}
		dns := lease(t, p, origin, Needs{Endpoints: true})
		origin.ServiceCIDRs = []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12")} // which only manifests need to know
		vip := lease(t, p, origin, Needs{Zones: true})
		other := lease(t, p, Origin{Kubeconfig: "b"}, Needs{})
		if dns.Store != vip.Store || dns.Store == other.Store {
			t.Fatal("stores are shared wrongly")
		}
		if running, _ := f.state(); len(running) != 0 || dns.Store.Synced() {
			t.Fatal("something runs before Start")
		}
		start(t, dns, vip)
		if running, _ := f.state(); len(running) != 1 || running[0] != (Needs{Endpoints: true, Zones: true}) || !vip.Store.Synced() {
			t.Fatalf("running: %+v", running)
		}
		if got := p.Statuses(); len(got) != 1 || !got[0].Synced {
			t.Errorf("statuses %v; one source runs", got)
		}
		dns.Release()
		dns.Release() // counts once
		if running, stopped := f.state(); len(running) != 1 || stopped != 0 {
			t.Fatal("the first release ended the source of the second")
		}
		vip.Release()
		if running, stopped := f.state(); len(running) != 0 || stopped != 1 {
			t.Fatalf("after the last release: %d running, %d stopped", len(running), stopped)
		}
		other.Release()
		if len(p.shares) != 0 {
			t.Errorf("%d origins left", len(p.shares))
		}
	})
}

// TestPoolOfTwoNodes: one store follows one node, so that who needs another has a store of its own.
func TestPoolOfTwoNodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f fleet
		p := f.pool(&strings.Builder{})
		names, first := lease(t, p, Origin{}, Needs{PodNames: true}), lease(t, p, Origin{}, Needs{Forwarding: true, Node: "a"})
		second := lease(t, p, Origin{}, Needs{Forwarding: true, Node: "b"})
		if names.Store != first.Store || first.Store == second.Store {
			t.Fatal("stores are shared wrongly")
		}
		start(t, names, second)
		if again := lease(t, p, Origin{}, Needs{Forwarding: true, Node: "a"}); again.Store != first.Store {
			t.Error("a running store that serves all this is not taken")
		} else {
			again.Release()
		}
		running, _ := f.state()
		for _, want := range []Needs{{Endpoints: true, PodNames: true, Forwarding: true, Node: "a"}, {Endpoints: true, Forwarding: true, Node: "b"}} {
			if !slices.Contains(running, want) {
				t.Errorf("running: %+v, not %+v", running, want)
			}
		}
		for _, l := range []*Lease{names, first, second} {
			l.Release()
		}
	})
}

// TestPoolOutlivesReload: the new instance leases before the old one releases.
func TestPoolOutlivesReload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f fleet
		p := f.pool(&strings.Builder{})
		old := lease(t, p, Origin{}, Needs{Endpoints: true, Pods: true})
		start(t, old)
		same := lease(t, p, Origin{}, Needs{Pods: true})
		more := lease(t, p, Origin{}, Needs{Zones: true})
		if same.Store != old.Store || more.Store == old.Store {
			t.Fatal("a store is shared when its source has what is needed, and else not")
		}
		start(t, same, more)
		old.Release()
		if running, stopped := f.state(); len(running) != 2 || stopped != 0 || same.Store.Service(key(t, "n", "a")) == nil {
			t.Fatalf("after the reload: %d running, %d stopped", len(running), stopped)
		}
		same.Release()
		more.Release()
		if _, stopped := f.state(); stopped != 2 {
			t.Errorf("%d stopped", stopped)
		}
	})
}

func TestPoolFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		f := fleet{bad: errors.New("no such file")}
		p := f.pool(&log)
		if _, err := p.Lease(Origin{}, Needs{}, Telemetry{}); !errors.Is(err, f.bad) || len(p.shares) != 0 {
			t.Errorf("a bad origin: %v", err)
		}
		f.bad, f.fail = nil, errors.New("cannot go on")
		l := lease(t, p, Origin{}, Needs{})
		start(t, l)
		if got := l.Store.Status().Failure; got != "scripted: cannot go on" || !strings.Contains(log.String(), "cannot go on") {
			t.Errorf("failure %q, log %q", got, log.String())
		}
		l.Release()
		if err := l.Start(); err == nil {
			t.Error("a released lease was started")
		}
		unstarted := lease(t, p, Origin{}, Needs{})
		unstarted.Release()
	})
}
