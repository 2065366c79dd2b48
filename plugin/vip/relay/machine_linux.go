package relay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// linuxMachine gives addresses by routes, behind a guard. The guard is there before an address is, and goes after it.
type linuxMachine struct {
	capable func() bool
	routes  routes
	guard   guard
	held    map[netip.Addr]bool // those that have a route of ours
}

func newMachine() machine {
	return &linuxMachine{capable: mayChangeNetwork, guard: guard{nft: runNFT}, held: map[netip.Addr]bool{}}
}

// mayChangeNetwork tells whether this process has CAP_NET_ADMIN.
func mayChangeNetwork() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_NET_ADMIN) != 0
}

// load takes over the routes that are there, and has the guard made anew. Who may not change them may not read them
// either, maybe.
func (m *linuxMachine) load() error {
	list, err := m.routes.list()
	if err != nil && m.capable() {
		return err
	}
	clear(m.held)
	for _, a := range list {
		m.held[a] = true
	}
	m.guard.made = false
	return nil
}

func (m *linuxMachine) has(a netip.Addr) bool { return m.held[a] }

func (m *linuxMachine) hold(ctx context.Context, want map[netip.Addr][]bind) error {
	if len(want) == 0 && len(m.held) == 0 && !m.guard.made {
		return nil
	}
	if !m.capable() {
		return unable("to make it one needs CAP_NET_ADMIN: run as root, or use service_cidr 127.96.0.0/16, which every Linux has")
	}
	var errs []error
	for a := range m.held {
		if _, wanted := want[a]; !wanted {
			errs = append(errs, m.remove(a))
		}
	}
	if err := m.guard.set(ctx, want); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			err = unable("to make it one needs the program nft, as what listens on all addresses would answer there too")
		}
		return errors.Join(append(errs, err)...)
	}
	for a := range want {
		if m.held[a] {
			continue
		}
		if err := m.routes.add(a); err != nil {
			errs = append(errs, err)
			continue
		}
		m.held[a] = true
	}
	return errors.Join(errs...)
}

// bindFreely lets a socket have an address that is on no interface. Linux asks for that with IPv6, routes or not.
func bindFreely(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_FREEBIND, 1) })
	return errors.Join(err, failed)
}

func (m *linuxMachine) remove(a netip.Addr) error {
	err := m.routes.remove(a)
	if err == nil {
		delete(m.held, a)
	}
	return err
}

func (m *linuxMachine) check(ctx context.Context) error {
	if len(m.held) == 0 {
		return nil
	}
	list, err := m.routes.list()
	if err != nil {
		return err
	}
	for a := range m.held {
		if !slices.Contains(list, a) {
			return fmt.Errorf("the route local %v dev lo is gone", a)
		}
	}
	return m.guard.check(ctx)
}

func (m *linuxMachine) release(ctx context.Context) error { return m.hold(ctx, nil) }

// Cleanup removes the routes and the guard that a relay left which did not end by Close, and names them.
func Cleanup(ctx context.Context) (removed []string, err error) {
	var kernel routes
	list, err := kernel.list()
	errs := []error{err}
	for _, a := range list {
		if err := kernel.remove(a); err != nil {
			errs = append(errs, err)
			continue
		}
		removed = append(removed, "route local "+a.String()+" dev lo")
	}
	g := guard{nft: runNFT}
	was, err := g.remove(ctx)
	if was {
		removed = append(removed, "table "+guardTable)
	}
	return removed, errors.Join(append(errs, err)...)
}
