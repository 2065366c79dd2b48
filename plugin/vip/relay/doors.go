package relay

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// socket is what listens for a frontend.
type socket interface {
	show(v *view)
	close()
}

// door is one address and port of a service. It has a socket where somebody may be led to a backend, since the kernel itself
// refuses what nobody listens for.
type door struct {
	bind    bind
	owner   string // the service
	view    *view
	socket  socket // nil for none
	refused string // why the frontend cannot be served; empty where it is
}

// entry is a service and where it is reached.
type entry struct {
	service *plan.Service
	binds   []bind
}

// Adopt makes exactly these services reachable. Sockets that stay are not touched.
func (r *Relay) Adopt(ctx context.Context, policy *plan.Policy, all []*plan.Service) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.policy = policy
	r.node.refresh(policy)
	if err := r.machine.load(); err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, s := range all {
		wanted[nameOf(s)] = true
	}
	changed := slices.Clone(all)
	for name, e := range r.services {
		if !wanted[name] {
			changed = append(changed, &plan.Service{Namespace: e.service.Namespace, Name: e.service.Name})
		}
	}
	return r.applyLocked(ctx, changed)
}

// Apply makes these services reachable as they are now; all others stay.
func (r *Relay) Apply(ctx context.Context, changed []*plan.Service) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.applyLocked(ctx, changed)
}

// Check tells whether the addresses that the machine was given are still there. Sockets are this process's own.
func (r *Relay) Check(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.machine.check(ctx)
}

func nameOf(s *plan.Service) string { return s.Namespace + "/" + s.Name }

// applyLocked takes what is new into the doors before it lets go of what is old, so that an address which one service hands
// to another stays open all the while.
func (r *Relay) applyLocked(ctx context.Context, changed []*plan.Service) error {
	var touched []*door
	before := map[string][]bind{}
	for _, s := range changed {
		name := nameOf(s)
		if e := r.services[name]; e != nil {
			before[name] = e.binds
		}
		e := &entry{service: s}
		for b, v := range r.views(s) {
			d := r.doors[b]
			if d == nil {
				d = &door{bind: b}
				r.doors[b] = d
			}
			d.owner, d.view = name, v
			e.binds = append(e.binds, b)
			touched = append(touched, d)
		}
		r.services[name] = e
		if len(e.binds) == 0 {
			delete(r.services, name)
		}
	}
	for name, binds := range before {
		r.leaveLocked(name, binds)
	}
	return r.settleLocked(ctx, touched)
}

// leaveLocked closes those of a service's former doors that it has no more, and nobody else either.
func (r *Relay) leaveLocked(name string, binds []bind) {
	var now []bind
	if e := r.services[name]; e != nil {
		now = e.binds
	}
	for _, b := range binds {
		d := r.doors[b]
		if d == nil || d.owner != name || slices.Contains(now, b) {
			continue
		}
		d.shut()
		delete(r.doors, b)
	}
}

func (d *door) shut() {
	if d.socket != nil {
		d.socket.close()
		d.socket = nil
	}
}

// settleLocked gives each of the doors the socket that its view asks for. One that cannot have it is refused, and costs the
// others nothing.
func (r *Relay) settleLocked(ctx context.Context, touched []*door) error {
	before := make([]string, len(touched))
	for i, d := range touched {
		before[i], d.refused = d.refused, d.impossible()
		if d.socket != nil && !d.needsSocket() {
			d.shut()
		}
	}
	err := r.provideLocked(ctx, touched)
	for _, d := range touched {
		switch {
		case d.refused != "":
			d.shut()
		case d.socket != nil:
			d.socket.show(d.view)
		case d.needsSocket():
			r.openLocked(d)
		}
	}
	r.report(touched, before)
	return err
}

func (d *door) needsSocket() bool { return d.view.needsSocket(d.bind.protocol) }

// impossible says why no socket could ever serve the frontend; empty when one could.
func (d *door) impossible() string {
	switch {
	case d.bind.protocol == cluster.SCTP.String():
		return "SCTP is for the plane nftables, which needs no sockets"
	case d.bind.addr.Addr().IsUnspecified():
		return "this machine has no address of this family for node ports; name some that it has"
	}
	return ""
}

// provideLocked gives the machine the addresses that it needs and does not have, and takes those back that it does not need
// any more: of those that no service has, the ones without connections.
func (r *Relay) provideLocked(ctx context.Context, touched []*door) error {
	for _, d := range touched {
		if d.refused != "" || d.view.front.Kind == plan.NodePort {
			continue
		}
		if a := d.bind.addr.Addr(); r.machine.has(a) || !bindable(a) {
			r.foreign[a] = true
		} else {
			delete(r.foreign, a)
		}
	}
	want := map[netip.Addr][]bind{}
	for b, d := range r.doors {
		a := b.addr.Addr()
		if !r.foreign[a] {
			continue
		}
		served := want[a]
		if d.needsSocket() {
			served = append(served, b)
		}
		want[a] = served
	}
	maps.DeleteFunc(r.foreign, func(a netip.Addr, _ bool) bool { _, ok := want[a]; return !ok })
	for a := range r.sessions.locals() {
		if r.machine.has(a) && want[a] == nil {
			want[a] = nil
		}
	}
	err := r.machine.hold(ctx, want)
	if err == nil {
		return nil
	}
	for _, d := range touched {
		if a := d.bind.addr.Addr(); r.foreign[a] && !r.machine.has(a) {
			d.refused = "it is not an address of this machine; " + err.Error()
		}
	}
	if why := unable(""); errors.As(err, &why) {
		return nil
	}
	return err
}

// views are a service's frontends by where a socket for them would be. NodePorts are at each of the node's addresses that
// they answer on: a socket for all addresses would answer on those as well on which it must not.
func (r *Relay) views(s *plan.Service) map[bind]*view {
	list := map[bind]*view{}
	for i := range s.Frontends {
		f := &s.Frontends[i]
		v := &view{
			service: nameOf(s) + ":" + f.Port + "/" + f.Key.Protocol.String(),
			front:   f, policy: r.policy, node: &r.node,
		}
		addrs := []netip.Addr{f.Key.Addr}
		if f.Kind == plan.NodePort {
			addrs = r.node.portAddrs(f.Key.Addr)
		}
		for _, a := range addrs {
			list[bind{netip.AddrPortFrom(a, f.Key.Port), f.Key.Protocol.String()}] = v
		}
	}
	return list
}

func (r *Relay) openLocked(d *door) {
	open := r.listenTCP
	if d.bind.protocol == cluster.UDP.String() {
		open = r.listenUDP
	}
	s, err := open(d.bind, d.view)
	if err != nil {
		d.refused = reason(err)
		return
	}
	d.socket = s
}
