package vip

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/plugin/vip/plan"
	"github.com/nameplane/nameplane/server/corefile"
)

// Inspect is the plan of a Corefile: what it would forward, read from where it says, without anything being forwarded. It
// waits for the first complete list, until ctx ends.
func Inspect(ctx context.Context, file *corefile.File, pool *cluster.Pool, log *slog.Logger) (*plan.State, error) {
	lines := file.Lines("vip")
	if len(lines) == 0 {
		return nil, fmt.Errorf("%s: no directive vip stands there, so nothing is forwarded", file.Name)
	}
	line, err := only(file, lines)
	if err != nil {
		return nil, err
	}
	var o options
	if err := o.decode(line, &plugin.Env{File: file, Dir: filepath.Dir(file.Name), Log: log}); err != nil {
		return nil, err
	}
	lease, err := pool.Lease(o.origin, o.needs(), cluster.Telemetry{})
	if err != nil {
		return nil, line.Errorf("%v", err)
	}
	defer lease.Release()
	if err := lease.Start(); err != nil {
		return nil, err
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for !listed(lease.Store) {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %s", context.Cause(ctx), lease.Store.Status())
		case <-look.C:
		}
	}
	return newState(&o.policy, lease.Store), nil
}

// listed tells whether all that forwarding is planned by was listed once: names do without nodes, forwarding does not.
func listed(store *cluster.Store) bool { return store.Synced() && store.Listed(cluster.KindNode) }

// newState is the plan of a store.
func newState(policy *plan.Policy, store *cluster.Store) *plan.State {
	state := plan.NewState(policy, store.Node())
	store.Services(func(svc *cluster.Service) { state.Put(svc) })
	return state
}
