package relay

import (
	"context"
	"fmt"
	"net/netip"
)

// unchanged is a machine whose addresses stay what they are.
type unchanged struct{}

func newMachine() machine { return unchanged{} }

func (unchanged) load() error                   { return nil }
func (unchanged) has(netip.Addr) bool           { return false }
func (unchanged) check(context.Context) error   { return nil }
func (unchanged) release(context.Context) error { return nil }

func (unchanged) hold(_ context.Context, want map[netip.Addr][]bind) error {
	if len(want) == 0 {
		return nil
	}
	return fmt.Errorf("%w: give it to an interface, such as lo0", errUnable)
}
