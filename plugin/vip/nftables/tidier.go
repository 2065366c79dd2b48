package nftables

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// flow is a UDP flow that conntrack remembers: what the client dialled, and who answers it.
type flow struct {
	to, from  netip.AddrPort
	tuple, id []byte // by which the kernel knows it
}

// tidier deletes UDP flows whose backend does not serve any more. Conntrack sends what belongs to a known flow to where its
// first packet went, and a client that keeps its port and keeps sending would reach a dead backend for ever. It works on
// levels, not on changes: whatever flow goes to a frontend that was touched, but not to one of those that serve it now, is
// stale, though nobody may have told us why. Flows of TCP end by themselves, and are never deleted.
type tidier struct {
	mu      sync.Mutex
	policy  *plan.Policy
	serving map[plan.Key][]netip.AddrPort // of all UDP frontends
	keys    map[string][]plan.Key         // of each service
	touched map[plan.Key]bool
	all     bool
}

// maxStale is how many flows of a family a pass deletes.
const maxStale = 4096

func newTidier() *tidier {
	return &tidier{serving: map[plan.Key][]netip.AddrPort{}, keys: map[string][]plan.Key{}, touched: map[plan.Key]bool{}}
}

// adopt takes all services, and looks through all flows once.
func (t *tidier) adopt(policy *plan.Policy, all []*plan.Service) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key := range t.serving {
		t.touched[key] = true
	}
	t.policy, t.all = policy, true
	clear(t.serving)
	clear(t.keys)
	for _, p := range all {
		t.take(p)
	}
}

// apply takes what changed.
func (t *tidier) apply(changed []*plan.Service) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range changed {
		for _, key := range t.keys[id(p)] {
			delete(t.serving, key)
			t.touched[key] = true
		}
		delete(t.keys, id(p))
	}
	for _, p := range changed {
		t.take(p)
	}
}

func (t *tidier) take(p *plan.Service) {
	for i := range p.Frontends {
		f := &p.Frontends[i]
		if f.Key.Protocol != cluster.UDP {
			continue
		}
		t.serving[f.Key] = f.Serving
		t.keys[id(p)] = append(t.keys[id(p)], f.Key)
		t.touched[f.Key] = true
	}
}

// pass looks once through the flows, and deletes those that are stale. It tells whether there is more to do.
func (t *tidier) pass() (again bool, err error) {
	work := t.begin()
	if len(work.serving) == 0 && !work.all {
		return false, nil
	}
	var problems []error
	for _, f := range families() {
		stale, err := work.stale(f)
		again = again || err != nil || len(stale) == maxStale
		problems = append(problems, err)
		for _, x := range stale {
			problems = append(problems, forget(f, x))
		}
	}
	err = errors.Join(problems...)
	if again = again || err != nil; again {
		t.resume(work)
	}
	return again, err
}

// work is what a pass goes by: who serves the frontends that it is about.
type work struct {
	policy  *plan.Policy
	serving map[plan.Key][]netip.AddrPort
	all     bool                // flows to what is no frontend at all, too
	addrs   map[netip.Addr]bool // of this node, where NodePorts answer
}

func (t *tidier) begin() *work {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := &work{policy: t.policy, all: t.all, serving: make(map[plan.Key][]netip.AddrPort, len(t.touched)), addrs: map[netip.Addr]bool{}}
	for key := range t.touched {
		w.serving[key] = t.serving[key]
		if key.Addr.IsUnspecified() && len(w.addrs) == 0 {
			w.addrs = nodeAddrs(t.policy.NodePortAddrs)
		}
	}
	clear(t.touched)
	t.all = false
	return w
}

// resume puts the work back, for the next pass.
func (t *tidier) resume(w *work) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key := range maps.Keys(w.serving) {
		t.touched[key] = true
	}
	t.all = t.all || w.all
}

// stale are a family's flows that are to be deleted, up to a bound.
func (w *work) stale(f family) (list []flow, err error) {
	err = flows(f, func(x flow) bool {
		if w.isStale(x) {
			x.tuple, x.id = slices.Clone(x.tuple), slices.Clone(x.id)
			list = append(list, x)
		}
		return len(list) < maxStale
	})
	return list, err
}

// isStale tells whether a flow goes to a frontend that the work is about, and not to who serves it. Where what nobody has
// is dropped, a flow into the service CIDRs that is no frontend's is a former one's.
func (w *work) isStale(x flow) bool {
	key := plan.Key{Addr: x.to.Addr(), Port: x.to.Port(), Protocol: cluster.UDP}
	serving, ours := w.serving[key]
	if !ours && w.addrs[key.Addr] {
		key.Addr = unspecified(key.Addr)
		serving, ours = w.serving[key]
	}
	if ours {
		_, serves := slices.BinarySearchFunc(serving, x.from, netip.AddrPort.Compare)
		return !serves
	}
	return w.all && w.policy.DropsUnallocated() && slices.ContainsFunc(w.policy.ServiceCIDRs, func(p netip.Prefix) bool { return p.Contains(x.to.Addr()) })
}

func unspecified(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// nodeAddrs are the addresses of this node that are in one of the prefixes.
func nodeAddrs(in []netip.Prefix) map[netip.Addr]bool {
	found := map[netip.Addr]bool{}
	list, _ := net.InterfaceAddrs()
	for _, a := range list {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && slices.ContainsFunc(in, func(in netip.Prefix) bool { return in.Contains(p.Addr()) }) {
			found[p.Addr()] = true
		}
	}
	return found
}
