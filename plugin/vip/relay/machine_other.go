//go:build !linux

package relay

import (
	"context"
	"net/netip"
	"syscall"
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
	return unable("give it to an interface, such as lo0")
}

// bindFreely is for addresses that were given to the machine, of which there are none here.
func bindFreely(_, _ string, _ syscall.RawConn) error { return nil }

// Cleanup removes what a relay left in the kernel, which here is nothing.
func Cleanup(context.Context) (removed []string, err error) { return nil, nil }
