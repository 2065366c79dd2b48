package relay

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// bind is where a socket listens.
type bind struct {
	addr     netip.AddrPort
	protocol string // "tcp" or "udp"
}

// String is the frontend as users write it.
func (b bind) String() string { return b.addr.String() + "/" + b.protocol }

// network is the protocol and family as package net calls them.
func (b bind) network() string { return network(b.protocol, b.addr.Addr()) }

func network(protocol string, addr netip.Addr) string {
	if addr.Is4() {
		return protocol + "4"
	}
	return protocol + "6"
}

// view is what a socket knows of its frontend at a time. It is immutable.
type view struct {
	service string // namespace/name:port/protocol
	front   *plan.Frontend
	policy  *plan.Policy
	node    *nodeAddrs
}

// target is where a client is led; ok is false for one that is not let in.
func (v *view) target(client netip.Addr) (t plan.Target, ok bool) {
	from := v.policy.From(client, v.node.has(client))
	if _, ok := v.policy.LetsIn(v.front, client, from); !ok {
		return t, false
	}
	return v.front.Target(from), true
}

// needsSocket tells whether clients of some place are led to a backend; a datagram that must be dropped also needs somebody
// who takes it.
func (v *view) needsSocket(protocol string) bool {
	targets := []plan.Target{v.front.Inside, v.front.Outside}
	if v.front.Kind == plan.ClusterIP {
		targets = targets[:1]
	}
	return slices.ContainsFunc(targets, func(t plan.Target) bool {
		return t.Verdict == plan.Forward && len(t.Backends) > 0 || t.Verdict == plan.Drop && protocol == "udp"
	})
}

// chooser finds backends for new connections and flows.
type chooser struct {
	affinity *affinity
	now      func() time.Time
}

// choose is a backend for a client, none of those tried before: the one that the client had if the service wants that and
// it is still there, else each with the same likelihood.
func (c *chooser) choose(v *view, client netip.Addr, tried []netip.AddrPort) (backend netip.AddrPort, ok bool) {
	t, ok := v.target(client)
	if !ok || t.Verdict != plan.Forward {
		return backend, false
	}
	backend, ok = pick(t.Backends, tried)
	if !ok || v.front.Affinity == 0 {
		return backend, ok
	}
	return c.affinity.stick(stickyKey{v.service, client}, backend, c.now(), v.front.Affinity, func(had netip.AddrPort) bool {
		return slices.Contains(t.Backends, had) && !slices.Contains(tried, had)
	}), true
}

// failed tells that a backend did not take what a client sent.
func (c *chooser) failed(v *view, client netip.Addr, backend netip.AddrPort) {
	if v.front.Affinity > 0 {
		c.affinity.forget(stickyKey{v.service, client}, backend)
	}
}

// pick is one of the backends that were not tried, each as likely as the others.
func pick(backends, tried []netip.AddrPort) (picked netip.AddrPort, ok bool) {
	if len(tried) == 0 {
		if len(backends) == 0 {
			return picked, false
		}
		return backends[rand.IntN(len(backends))], true
	}
	seen := 0
	for _, b := range backends {
		if slices.Contains(tried, b) {
			continue
		}
		seen++
		if rand.IntN(seen) == 0 {
			picked = b
		}
	}
	return picked, seen > 0
}
