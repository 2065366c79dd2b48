package vip

import (
	"context"
	"errors"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/plugin/vip/nftables"
	"github.com/nameplane/nameplane/plugin/vip/plan"
	"github.com/nameplane/nameplane/plugin/vip/relay"
)

// openPlane makes the plane of a mode.
func openPlane(o *options, env *plugin.Env) (Plane, error) {
	switch o.mode {
	case modePlan:
		return planned{}, nil
	case modeRelay:
		return relay.New(relay.Options{Log: env.Log, Now: env.Now}), nil
	}
	return nftables.Open(context.Background(), env.Log)
}

// planned is the plane of the mode plan: it forwards nothing. What would be is in the metrics, and in "nameplane vip plan".
type planned struct{}

// Adopt implements Plane.
func (planned) Adopt(context.Context, *plan.Policy, []*plan.Service) error { return nil }

// Apply implements Plane.
func (planned) Apply(context.Context, []*plan.Service) error { return nil }

// Check implements Plane.
func (planned) Check(context.Context) error { return nil }

// Run implements Plane.
func (planned) Run(ctx context.Context) error { return nil }

// Close implements Plane.
func (planned) Close() error { return nil }

// Cleanup removes what planes leave in the kernel when they stop, and names it. It is nobody else's, and needs neither a
// Corefile nor a cluster. After an error the rest is removed all the same.
func Cleanup(ctx context.Context) (removed []string, err error) {
	removed, err = nftables.Cleanup(ctx)
	routes, relayErr := relay.Cleanup(ctx)
	return append(removed, routes...), errors.Join(err, relayErr)
}
