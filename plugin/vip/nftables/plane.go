package nftables

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// Plane forwards in the kernel. Its methods are called one at a time, but for Run, which goes on beside.
type Plane struct {
	log   *slog.Logger
	wake  chan struct{} // there is something to do beside
	flows *tidier

	mu     sync.Mutex
	tables []*table
}

func newPlane(log *slog.Logger) *Plane {
	return &Plane{log: log, wake: make(chan struct{}, 1), flows: newTidier()}
}

// Open makes the plane, and changes nothing. It fails where Adopt could not work, with what is missing. A family that the
// kernel has not is no error, until it has a service.
func Open(ctx context.Context, log *slog.Logger) (*Plane, error) {
	p := newPlane(log)
	var problems []error
	for _, f := range families() {
		t, err := openTable(ctx, f)
		if err != nil {
			t = &table{family: f, unusable: preflight(f, err)}
			problems = append(problems, t.unusable)
		}
		p.tables = append(p.tables, t)
	}
	if len(problems) == len(p.tables) {
		return nil, errors.Join(problems...)
	}
	return p, nil
}

// openTable tries the whole layout on the kernel, which makes nothing of it.
func openTable(ctx context.Context, f family) (*table, error) {
	rules, err := openRules(f)
	if err != nil {
		return nil, err
	}
	return newTable(f, rules), rules.Check(ctx, &change{fresh: true})
}

// preflight says what is missing, and what would work in place of it.
func preflight(f family, err error) error {
	const instead = `; or else "mode relay" forwards without the kernel's help, and "mode plan" only tells what it would do`
	what := "the kernel (5.13 or later) or nft (1.0.1 or later) is too old, or lacks the modules nf_nat and nft_*"
	switch text := err.Error(); {
	case errors.Is(err, exec.ErrNotFound):
		what = "the program nft is not in PATH: install the package nftables, 1.0.1 or later"
	case strings.Contains(text, "not permitted"):
		what = "this process may not change rules: it needs the capability NET_ADMIN in the host's network namespace"
	case errors.Is(err, errors.ErrUnsupported):
		what = "nftables is Linux's"
	}
	return fmt.Errorf("mode nftables does not work here for family %v: %s%s: %w", f.name, what, instead, err)
}

// Adopt makes exactly this the state. The families fail each for itself.
func (p *Plane) Adopt(ctx context.Context, policy *plan.Policy, all []*plan.Service) error {
	err := p.each(func(t *table) error { return t.adopt(ctx, policy, all) })
	p.flows.adopt(policy, all)
	p.signal()
	return err
}

// Apply makes the state of these services so.
func (p *Plane) Apply(ctx context.Context, changed []*plan.Service) error {
	err := p.each(func(t *table) error { return t.apply(ctx, changed) })
	p.flows.apply(changed)
	p.signal()
	return err
}

// Check looks whether the tables are there with all their rules, and samples of the elements.
func (p *Plane) Check(ctx context.Context) error {
	return p.each(func(t *table) error { return t.check(ctx) })
}

func (p *Plane) each(do func(*table) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var problems []error
	for _, t := range p.tables {
		problems = append(problems, do(t))
	}
	return errors.Join(problems...)
}

func (p *Plane) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// The rests after tidying up, however many the changes meanwhile.
const (
	pause     = time.Second
	pauseFail = 15 * time.Second
)

// Run tidies up behind the changes until ctx ends, beside them, as they must not wait for it: UDP flows that go where nobody
// serves any more, and then elements that nothing leads to.
func (p *Plane) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		}
		rest := pause
		again, err := p.flows.pass()
		if err != nil {
			p.log.Warn("stale UDP flows may stay for a while", "error", err)
			rest = pauseFail
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(rest):
		}
		if err := p.sweep(ctx); err != nil {
			p.log.Debug("what nothing leads to stays for a while", "error", err)
		}
		if again {
			p.signal()
		}
	}
}

func (p *Plane) sweep(ctx context.Context) error {
	return p.each(func(t *table) error { return t.sweep(ctx) })
}

// Close leaves the rules: traffic goes on.
func (p *Plane) Close() error { return nil }

// Cleanup deletes our tables, and names those that there were; nothing else is touched. It needs no plane.
func Cleanup(ctx context.Context) (removed []string, err error) {
	var problems []error
	for _, f := range families() {
		rules, err := openRules(f)
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, errors.ErrUnsupported) {
			return nil, nil // without nft nobody has made one
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("to delete table %v %s: %w", f.name, tableName, err))
			continue
		}
		twin, err := rules.Twin()
		problems = append(problems, err)
		for _, r := range []ruleset{rules, twin} {
			name, err := discard(ctx, r)
			problems = append(problems, err)
			if name != "" {
				removed = append(removed, name)
			}
		}
	}
	return removed, errors.Join(problems...)
}

// discard deletes a table, and names it; nothing when there was none.
func discard(ctx context.Context, r ruleset) (name string, err error) {
	names, err := r.Contents(ctx)
	if err != nil || len(names.chains)+len(names.sets) == 0 {
		return "", err
	}
	return r.String(), r.Delete(ctx)
}
