package nftables

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// service is a service as one family's table has it.
type service struct {
	id        string
	frontends []frontend
}

// frontend is one of the plan's, with the slots of its backends.
type frontend struct {
	*plan.Frontend
	inside, outside []netip.AddrPort
}

// shared is an element that several frontends may need: an address in one of the sets of addresses.
type shared struct {
	set  string
	addr netip.Addr
}

func (s shared) element() element {
	if s.set == setHairpin {
		return element{set: s.set, key: concat(s.addr.String(), s.addr.String())}
	}
	return element{set: s.set, key: s.addr.String()}
}

func id(p *plan.Service) string { return p.Namespace + "/" + p.Name }

// newService takes the family's frontends of a planned service. Slots are those that old gives, as far as they still serve.
func newService(f family, p *plan.Service, old func(v view, k plan.Key) []netip.AddrPort) *service {
	s := &service{id: id(p)}
	for i := range p.Frontends {
		if !f.has(p.Frontends[i].Key.Addr) {
			continue
		}
		front := frontend{Frontend: &p.Frontends[i]}
		key, nodePort := front.Key, front.Kind == plan.NodePort
		if front.Affinity > 0 { // its chains have no slots
			old = func(view, plan.Key) []netip.AddrPort { return nil }
		}
		front.inside = assign(old(viewOf(nodePort, false), key), front.Inside.Backends)
		if front.splits() {
			front.outside = assign(old(viewOf(nodePort, true), key), front.Outside.Backends)
		}
		s.frontends = append(s.frontends, front)
	}
	return s
}

// slots are those of the frontend that has a key; none when there is none.
func (s *service) slots(v view, k plan.Key) []netip.AddrPort {
	if s == nil {
		return nil
	}
	at, ok := slices.BinarySearchFunc(s.frontends, k, func(f frontend, k plan.Key) int { return f.Key.Compare(k) })
	switch {
	case !ok:
		return nil
	case v.outside:
		return s.frontends[at].outside
	}
	return s.frontends[at].inside
}

// splits tells whether clients from outside are led elsewhere than those inside.
func (f *frontend) splits() bool {
	in, out := f.Target(plan.FromPod), f.Target(plan.FromOutside)
	return in.Verdict != out.Verdict || !slices.Equal(in.Backends, out.Backends)
}

// elements are all that the service has for itself.
func (s *service) elements(f family, emit func(element)) {
	for i := range s.frontends {
		front := &s.frontends[i]
		nodePort := front.Kind == plan.NodePort
		s.lead(f, front, viewOf(nodePort, false), front.Inside, front.inside, emit)
		if front.splits() {
			s.lead(f, front, viewOf(nodePort, true), front.Outside, front.outside, emit)
		}
		front.masquerade(emit)
		front.sources(f, emit)
	}
}

// lead emits where the clients of a view go.
func (s *service) lead(f family, front *frontend, v view, target plan.Target, slots []netip.AddrPort, emit func(element)) {
	verdict := drop
	switch {
	case target.Verdict == plan.Reject:
		verdict = gotoRefuse
	case target.Verdict == plan.Forward && front.Affinity > 0:
		verdict = "goto " + s.sticky(f, front, slots).chain
	case target.Verdict == plan.Forward:
		verdict = "goto " + v.chain + strconv.Itoa(len(slots))
	}
	emit(element{set: v.verdicts, key: v.typed(front.Key), value: verdict})
	if target.Verdict != plan.Forward || front.Affinity > 0 {
		return
	}
	set, key := v.endpoints+front.Key.Protocol.String(), v.key(front.Key)
	for slot, b := range slots {
		emit(element{set: set, key: concat(key, strconv.Itoa(slot)), value: addrPort(b)})
	}
}

func (f *frontend) masquerade(emit func(element)) {
	m := masq{pods: f.Masquerades(plan.FromPod), node: f.Masquerades(plan.FromNode), outside: f.Masquerades(plan.FromOutside)}
	forwards := f.Inside.Verdict == plan.Forward || f.Target(plan.FromOutside).Verdict == plan.Forward
	if name := m.chain(); name != "" && forwards {
		nodePort := f.Kind == plan.NodePort
		emit(element{set: masqMap(nodePort, f.Key.Protocol), key: viewOf(nodePort, false).key(f.Key), value: "goto " + name})
	}
}

func (f *frontend) sources(fam family, emit func(element)) {
	if len(f.Sources) == 0 || f.Kind == plan.NodePort {
		return
	}
	emit(element{set: setRestricted, key: typed(f.Key)})
	for _, p := range fam.disjoint(f.Sources) {
		emit(element{set: setSources, key: concat(typed(f.Key), prefix(p))})
	}
}

// shares are the elements that others may need as well, with repetitions.
func (s *service) shares(emit func(shared)) {
	for i := range s.frontends {
		f := &s.frontends[i]
		if f.Kind == plan.ClusterIP {
			emit(shared{setClusterIPs, f.Key.Addr})
		}
		for _, b := range f.inside {
			emit(shared{setHairpin, b.Addr()})
		}
		for _, b := range f.outside {
			emit(shared{setHairpin, b.Addr()})
		}
	}
}

// choices are the shared chains that the service goes to.
func (s *service) choices(emit func(v view, n int)) {
	for i := range s.frontends {
		f := &s.frontends[i]
		if f.Affinity > 0 {
			continue
		}
		if len(f.inside) > 0 {
			emit(viewOf(f.Kind == plan.NodePort, false), len(f.inside))
		}
		if len(f.outside) > 0 {
			emit(viewOf(f.Kind == plan.NodePort, true), len(f.outside))
		}
	}
}

func (s shared) compare(o shared) int {
	return cmp.Or(cmp.Compare(s.set, o.set), s.addr.Compare(o.addr))
}
