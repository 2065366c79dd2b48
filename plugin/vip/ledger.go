package vip

import (
	"maps"
	"slices"
	"sync"

	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// ledger is what is forwarded, for metrics and for load balancers.
type ledger struct {
	mu       sync.Mutex
	services map[string]*plan.Service // guarded by mu: by name
	sum      tally                    // guarded by mu: of all services
	asked    map[uint16]*plan.Service // guarded by mu: by port for health checks
	told     map[string][]plan.Refusal
}

// tally counts what services became.
type tally struct {
	services  int    // that have a frontend
	frontends [4]int // by plan.Kind
	backends  int    // of all frontends together
	refused   int
	noLocal   [2]int // services without an endpoint on this node: by internalTrafficPolicy Local, by externalTrafficPolicy
}

func newLedger() *ledger {
	return &ledger{services: map[string]*plan.Service{}, asked: map[uint16]*plan.Service{}, told: map[string][]plan.Refusal{}}
}

// enter replaces some services.
func (l *ledger) enter(changed []*plan.Service) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enterLocked(changed)
}

func (l *ledger) enterLocked(changed []*plan.Service) {
	for _, s := range changed {
		name := fullName(s)
		if old := l.services[name]; old != nil {
			l.sum.add(old, -1)
			if h := old.Health; h != nil && l.asked[h.Port] == old {
				delete(l.asked, h.Port)
			}
		}
		l.sum.add(s, 1)
		if s.Health != nil {
			l.asked[s.Health.Port] = s
		}
		l.services[name] = s
		if len(s.Frontends) == 0 && len(s.Refused) == 0 && s.Health == nil {
			delete(l.services, name)
		}
	}
}

// replace replaces all.
func (l *ledger) replace(all []*plan.Service) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.services, l.sum = make(map[string]*plan.Service, len(all)), tally{}
	clear(l.asked)
	l.enterLocked(all)
}

func fullName(s *plan.Service) string { return s.Namespace + "/" + s.Name }

func (t *tally) add(s *plan.Service, n int) {
	var internal, external bool
	for i := range s.Frontends {
		f := &s.Frontends[i]
		t.frontends[f.Kind] += n
		t.backends += n * max(len(f.Inside.Backends), len(f.Outside.Backends))
		if f.Kind == plan.ClusterIP {
			internal = internal || f.Inside.Verdict == plan.Drop
		} else {
			external = external || f.Outside.Verdict == plan.Drop
		}
	}
	t.refused += n * len(s.Refused)
	for i, none := range []bool{internal, external} {
		if none {
			t.noLocal[i] += n
		}
	}
	if len(s.Frontends) > 0 {
		t.services += n
	}
}

// all is the number of frontends.
func (t *tally) all() (n int) {
	for _, of := range t.frontends {
		n += of
	}
	return n
}

// totals is the sum.
func (l *ledger) totals() tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sum
}

// healthChecks are the services that load balancers ask about, by port.
func (l *ledger) healthChecks() map[uint16]*plan.Service {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.asked)
}

// news are the refusals of a service that were not told yet. It is the loop's alone.
func (l *ledger) news(s *plan.Service) (fresh []plan.Refusal) {
	name := fullName(s)
	for _, r := range s.Refused {
		if !slices.Contains(l.told[name], r) {
			fresh = append(fresh, r)
		}
	}
	if len(s.Refused) == 0 {
		delete(l.told, name)
	} else {
		l.told[name] = s.Refused
	}
	return fresh
}
