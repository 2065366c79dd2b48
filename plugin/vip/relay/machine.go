package relay

import (
	"context"
	"net/netip"
)

// machine is what is beyond sockets: the addresses that this machine answers on.
type machine interface {
	// load learns what an earlier process left.
	load() error
	// has tells whether the machine has the address from here.
	has(a netip.Addr) bool
	// hold gives the machine exactly these addresses beside its own, and lets in on each only what goes to one of its binds.
	hold(ctx context.Context, want map[netip.Addr][]bind) error
	// check tells whether what was made is still there.
	check(ctx context.Context) error
	// release takes all back.
	release(ctx context.Context) error
}

// unable is an error of hold: what this process cannot do, however often it tries.
type unable string

// Error says what would be right.
func (u unable) Error() string { return string(u) }
