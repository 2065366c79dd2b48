package nodelocal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"sigs.k8s.io/knftables"
)

// table is ours alone.
const table = "nameplane-nodelocal"

// Ensure makes what is missing of the interface, its addresses and the rules. It may be called at any time; what is there
// stays as it is.
func (n *Network) Ensure(ctx context.Context) error {
	var errs []error
	if n.Interface != "" {
		if err := n.ensureAddrs(); err != nil {
			errs = append(errs, &SetupError{"interface_add", err})
		}
	}
	if n.Untracked {
		if err := n.ensureRules(ctx); err != nil {
			errs = append(errs, &SetupError{"nftables", err})
		}
	}
	return errors.Join(errs...)
}

// Remove takes back what Ensure made, and whatever else is on the interface.
func (n *Network) Remove(ctx context.Context) error {
	var errs []error
	if n.Untracked {
		if nft, err := n.nft(); err == nil {
			tx := nft.NewTransaction()
			tx.Add(&knftables.Table{}) // so that there is one to delete
			tx.Delete(&knftables.Table{})
			errs = append(errs, nft.Run(ctx, tx))
		}
	}
	if n.Interface == "" {
		return errors.Join(errs...)
	}
	if link, err := netlink.LinkByName(n.Interface); err == nil {
		return errors.Join(append(errs, netlink.LinkDel(link))...)
	}
	return errors.Join(append(errs, n.removeFromLoopback())...)
}

func (n *Network) ensureAddrs() error {
	link, err := n.link()
	if err != nil {
		return err
	}
	have, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("addresses of %s: %w", link.Attrs().Name, err)
	}
	for _, addr := range n.Addrs {
		want := hostAddr(addr)
		if slices.ContainsFunc(have, func(a netlink.Addr) bool { return a.IP.Equal(want.IP) }) {
			continue
		}
		if err := netlink.AddrAdd(link, want); err != nil {
			return fmt.Errorf("address %s on %s: %w%s", addr, link.Attrs().Name, err, hint(err))
		}
	}
	return nil
}

// link is the interface: a dummy, as of the original, or the loopback one on a kernel that has none.
func (n *Network) link() (netlink.Link, error) {
	if link, err := netlink.LinkByName(n.Interface); err == nil {
		return link, nil
	}
	dummy := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: n.Interface}}
	err := netlink.LinkAdd(dummy)
	switch {
	case errors.Is(err, syscall.EOPNOTSUPP):
		return netlink.LinkByName("lo")
	case err != nil:
		return nil, fmt.Errorf("interface %s: %w%s", n.Interface, err, hint(err))
	}
	return dummy, netlink.LinkSetUp(dummy)
}

func (n *Network) removeFromLoopback() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	var errs []error
	for _, addr := range n.Addrs {
		if err := netlink.AddrDel(lo, hostAddr(addr)); err != nil && !errors.Is(err, syscall.EADDRNOTAVAIL) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func hostAddr(addr netip.Addr) *netlink.Addr {
	a := &netlink.Addr{IPNet: &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(addr.BitLen(), addr.BitLen())}}
	if addr.Is6() {
		a.Flags = syscall.IFA_F_NODAD // the address is this host's alone: there is nobody to ask
	}
	return a
}

func (n *Network) nft() (knftables.Interface, error) {
	return knftables.New(knftables.InetFamily, table)
}

// ensureRules puts the whole table in place where it is not there.
func (n *Network) ensureRules(ctx context.Context) error {
	nft, err := n.nft()
	if err != nil {
		return err
	}
	if chains, err := nft.List(ctx, "chains"); err == nil && len(chains) == 2 {
		return nil
	}
	tx := nft.NewTransaction()
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
	tx.Add(&knftables.Table{Comment: knftables.PtrTo("queries to the DNS cache of this node are not tracked")})
	for _, hook := range []knftables.BaseChainHook{knftables.PreroutingHook, knftables.OutputHook} {
		tx.Add(&knftables.Chain{
			Name: string(hook), Type: knftables.PtrTo(knftables.FilterType), Hook: knftables.PtrTo(hook), Priority: knftables.PtrTo(knftables.RawPriority),
		})
	}
	for _, rule := range n.rules() {
		tx.Add(&rule)
	}
	return nft.Run(ctx, tx)
}

// rules keep queries, replies and the kubelet's probes of the health port out of connection tracking.
func (n *Network) rules() (rules []knftables.Rule) {
	add := func(chain string, rule ...any) {
		rules = append(rules, knftables.Rule{Chain: chain, Rule: knftables.Concat(append(rule, "notrack")...)})
	}
	for _, addr := range n.Addrs {
		family := "ip"
		if addr.Is6() {
			family = "ip6"
		}
		for _, protocol := range []string{"udp", "tcp"} {
			add("prerouting", family, "daddr", addr.String(), protocol, "dport", n.Port)
			add("output", family, "daddr", addr.String(), protocol, "dport", n.Port)
			add("output", family, "saddr", addr.String(), protocol, "sport", n.Port)
		}
		if n.HealthPort != 0 {
			add("output", family, "daddr", addr.String(), "tcp dport", n.HealthPort)
			add("output", family, "saddr", addr.String(), "tcp sport", n.HealthPort)
		}
	}
	return rules
}

func hint(err error) string {
	if errors.Is(err, syscall.EPERM) {
		return ": NET_ADMIN is wanted, and user 0 to have it"
	}
	return ""
}
