package relay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// reason says why a socket could not be opened, and what would be right.
func reason(err error) string {
	switch {
	case errors.Is(err, syscall.EACCES):
		return "this process may not use a port that low: it needs CAP_NET_BIND_SERVICE, or sysctl net.ipv4.ip_unprivileged_port_start=0"
	case errors.Is(err, syscall.EADDRINUSE):
		return "the port is in use by another socket, maybe one that listens on all addresses: that must name its addresses"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "it is not an address of this machine"
	}
	return err.Error()
}

// bindable tells whether sockets can have an address.
func bindable(a netip.Addr) bool {
	conn, err := net.ListenUDP(network("udp", a), net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
	if err != nil {
		return !errors.Is(err, syscall.EADDRNOTAVAIL)
	}
	_ = conn.Close()
	return true
}

// report logs whose refusal is new or over, one line a reason: a cluster has thousands of frontends, and most often one
// reason.
func (r *Relay) report(touched []*door, before []string) {
	fresh := map[string][]string{}
	for i, d := range touched {
		switch {
		case d.refused == before[i]:
		case d.refused == "":
			r.opts.Log.Info("a frontend can be served now", "frontend", d.bind.String(), "service", d.owner)
		default:
			fresh[d.refused] = append(fresh[d.refused], d.bind.String())
		}
	}
	for why, frontends := range fresh {
		r.opts.Log.Warn("frontends cannot be served", "reason", why, "count", len(frontends), "first", slices.Min(frontends))
	}
}

// Refused are the frontends that cannot be served, and why.
func (r *Relay) Refused() (list []plan.Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for b, d := range r.doors {
		if d.refused != "" {
			list = append(list, plan.Refusal{What: b.String(), Why: d.refused})
		}
	}
	slices.SortFunc(list, func(a, b plan.Refusal) int { return strings.Compare(a.What, b.What) })
	return list
}

// size tells how many frontends have a socket, and how many are refused.
func (r *Relay) size() (frontends, refused int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.doors {
		if d.socket != nil {
			frontends++
		}
		if d.refused != "" {
			refused++
		}
	}
	return frontends, refused
}

// retry tries again what was refused, and takes back what is not needed any more. Where the node has other addresses by now,
// all is looked at anew.
func (r *Relay) retry(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	if r.node.refresh(r.policy) {
		all := make([]*plan.Service, 0, len(r.services))
		for _, e := range r.services {
			all = append(all, e.service)
		}
		err = r.applyLocked(ctx, all)
	} else {
		err = r.settleLocked(ctx, r.refusedLocked())
	}
	if err != nil {
		r.opts.Log.Warn("addresses could not be made right", "error", err)
	}
}

func (r *Relay) refusedLocked() (list []*door) {
	for _, d := range r.doors {
		if d.refused != "" {
			list = append(list, d)
		}
	}
	return list
}

// shut closes all sockets, and takes back what addresses the machine was given.
func (r *Relay) shut() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.doors {
		d.shut()
	}
	clear(r.doors)
	clear(r.services)
	clear(r.foreign)
	return r.machine.release(context.Background())
}
