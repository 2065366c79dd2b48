package relay

import (
	"context"
	"errors"
	"net/netip"
	"syscall"
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

// errUnable is in errors of hold that mean: not by this process, however often it tries.
var errUnable = errors.New("not possible here")

const maxAffordable = 16384

// affordable is how many connections the process has file descriptors for: two sockets each, and two pipes of two ends to
// splice by. Half of them are for others.
func affordable() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return maxAffordable / 16
	}
	return int(min(limit.Cur/12+1, maxAffordable))
}
