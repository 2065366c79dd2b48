// Package vip is the directive that forwards virtual IPs: the services of the store, made reachable at their addresses.
//
// It joins three parts that know nothing of each other: the store says what changed, package plan what that means, and a
// Plane (package nftables in the kernel, package relay in this process) makes it so. The forwarder is one for the whole
// process, and outlives a reload of the Corefile: what did not change is not touched.
package vip

import (
	"context"

	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// Plane forwards. Its methods are called one at a time.
type Plane interface {
	// Adopt makes exactly this the state, and leaves alone what is so already: it is called at the start, where an
	// earlier process may have left its rules, after an error, and when the policy changed.
	Adopt(ctx context.Context, policy *plan.Policy, all []*plan.Service) error
	// Apply makes the state of these services so; all others stay. After an error Adopt is called.
	Apply(ctx context.Context, changed []*plan.Service) error
	// Check looks cheaply whether what was made is still there, and says what is not; Adopt mends it.
	Check(ctx context.Context) error
	// Run does what goes on beside: to accept connections, to tidy up. It ends with ctx.
	Run(ctx context.Context) error
	// Close gives back what must not outlive the process. Rules in the kernel stay.
	Close() error
}
