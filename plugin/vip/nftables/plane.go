package nftables

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"

	"sigs.k8s.io/knftables"

	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// Plane forwards in the kernel. Its methods are called one at a time, but for Run, which goes on beside.
type Plane struct {
	tables []*table
	log    *slog.Logger
}

// Open makes the plane, and changes nothing. It fails where Adopt could not work, with what is missing.
func Open(ctx context.Context, log *slog.Logger) (*Plane, error) {
	p := &Plane{log: log}
	var problems []error
	for _, f := range families() {
		rules, err := openRules(ctx, f)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		p.tables = append(p.tables, newTable(f, rules))
	}
	if len(p.tables) == 0 {
		return nil, preflightError(errors.Join(problems...))
	}
	return p, nil
}

// openRules tries the whole layout on the kernel, which makes nothing of it.
func openRules(ctx context.Context, f family) (ruleset, error) {
	i, err := knftables.New(f.name, tableName)
	if err != nil {
		return nil, fmt.Errorf("table %v %s: %w", f.name, tableName, err)
	}
	n := newNFT(f, i)
	if err := n.Check(ctx, &change{fresh: true}); err != nil {
		return nil, fmt.Errorf("table %v %s: %w", f.name, tableName, err)
	}
	return n, nil
}

// preflightError says what would be right.
func preflightError(err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("the program nft (package nftables, 1.0.1 or later) is missing: %w", err)
	}
	return err
}

// Adopt makes exactly this the state. The families fail each for itself.
func (p *Plane) Adopt(ctx context.Context, policy *plan.Policy, all []*plan.Service) error {
	return p.each(func(t *table) error { return t.adopt(ctx, policy, all) })
}

// Apply makes the state of these services so.
func (p *Plane) Apply(ctx context.Context, changed []*plan.Service) error {
	return p.each(func(t *table) error { return t.apply(ctx, changed) })
}

// Check looks whether the tables are there, and samples of what is in them.
func (p *Plane) Check(ctx context.Context) error {
	return p.each(func(t *table) error { return t.check(ctx) })
}

func (p *Plane) each(do func(*table) error) error {
	var problems []error
	for _, t := range p.tables {
		problems = append(problems, do(t))
	}
	return errors.Join(problems...)
}

// Close leaves the rules: traffic goes on.
func (p *Plane) Close() error { return nil }

// Cleanup deletes our tables, and nothing else. It needs no plane, and no API server.
func Cleanup(ctx context.Context) error {
	var problems []error
	for _, f := range families() {
		i, err := knftables.New(f.name, tableName)
		if err == nil {
			err = newNFT(f, i).Delete(ctx)
		}
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}
