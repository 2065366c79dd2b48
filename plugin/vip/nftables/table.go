package nftables

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// table is one family's: what it has in the kernel, as far as we know, and how to change it. After an error in apply it
// must adopt.
type table struct {
	family   family
	unusable error // why the kernel cannot have the table; nil when it can
	rules    ruleset
	layout   layout
	services map[string]*service
	shares   map[shared]int  // how many frontends need a shared element
	made     map[string]bool // chains beside the layout's
	stale    map[string]bool // those of affinity among them that nothing goes to any more
	later    []element       // to be removed, as nothing leads to them any more
}

func newTable(f family, rules ruleset) *table {
	return &table{family: f, rules: rules, layout: newLayout(f)}
}

// adopt makes the kernel's table that of a policy and all services, whatever it is now.
func (t *table) adopt(ctx context.Context, policy *plan.Policy, all []*plan.Service) error {
	if t.unusable != nil {
		return t.refuse(all)
	}
	now, err := t.read(ctx)
	if err != nil {
		return t.failed("read", err)
	}
	t.services, t.shares = make(map[string]*service, len(all)), map[shared]int{}
	t.made, t.stale = maps.Clone(now.made), map[string]bool{}
	c, needed := &change{fresh: now.fresh}, map[string]bool{}
	d := differ{was: now.elements, change: c}
	t.family.policy(policy, d.want)
	for _, p := range all {
		s := newService(t.family, p, now.slots)
		if len(s.frontends) == 0 {
			continue
		}
		t.services[s.id] = s
		s.elements(t.family, d.want)
		s.shares(func(x shared) { t.shares[x]++ })
		t.need(s, c, needed)
	}
	t.retire(now.made, needed)
	for _, x := range slices.SortedFunc(maps.Keys(t.shares), shared.compare) {
		d.want(x.element())
	}
	d.rest()
	t.later = d.later
	if now.fresh && now.exists {
		return t.replace(ctx, now, c)
	}
	if err := t.run(ctx, "adopt", c); err != nil {
		return err
	}
	return t.dropTwin(ctx)
}

// replace puts a table in the place of one that is not of our layout, while a twin serves. That both are there at times makes
// no difference, since a connection is translated once. Packets come into a table only while all of it is there: one that
// is underway when the kernel takes a transaction may meet rules of before, and elements of after.
func (t *table) replace(ctx context.Context, now *state, c *change) error {
	twin, err := t.rules.Twin()
	if err != nil {
		return t.failed("replace", err)
	}
	c.hooks = noHooks
	for _, step := range []struct {
		rules  ruleset
		change *change
	}{
		{twin, c}, {twin, &change{hooks: hooksOnly}},
		{t.rules, &change{unhook: now.hooks}}, {t.rules, c}, {t.rules, &change{hooks: hooksOnly}},
		{twin, &change{unhook: t.layout.hooks()}},
	} {
		if step.change.empty() {
			continue
		}
		if err := step.rules.Run(ctx, step.change); err != nil {
			return t.failed("replace", err)
		}
	}
	if err := twin.Delete(ctx); err != nil {
		return t.failed("replace", err)
	}
	return nil
}

// dropTwin deletes what a process left that ended while it replaced the table.
func (t *table) dropTwin(ctx context.Context) error {
	twin, err := t.rules.Twin()
	if err != nil {
		return t.failed("replace", err)
	}
	if names, err := twin.Contents(ctx); err != nil || len(names.chains) == 0 {
		return err
	}
	return twin.Delete(ctx)
}

// apply changes what is of these services.
func (t *table) apply(ctx context.Context, changed []*plan.Service) error {
	if t.unusable != nil {
		return t.refuse(changed)
	}
	last := map[string]*plan.Service{}
	for _, p := range changed {
		last[id(p)] = p
	}
	c := &change{remove: t.later}
	t.later = nil
	d := differ{was: map[string]map[string]string{}, change: c}
	shares, gone, needed := map[shared]int{}, map[string]bool{}, map[string]bool{}
	for id := range last {
		if old := t.services[id]; old != nil {
			old.elements(t.family, d.had)
			old.shares(func(x shared) { shares[x]-- })
			old.stickies(t.family, func(s sticky) {
				for _, x := range s.chains {
					gone[x.name] = true
				}
			})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(last)) {
		s := newService(t.family, last[id], t.services[id].slots)
		if delete(t.services, id); len(s.frontends) == 0 {
			continue
		}
		t.services[id] = s
		s.elements(t.family, d.want)
		s.shares(func(x shared) { shares[x]++ })
		t.need(s, c, needed)
	}
	t.retire(gone, needed)
	d.rest()
	t.later = append(t.later, d.later...)
	t.share(shares, c)
	return t.run(ctx, "change", c)
}

// share counts those who need the shared elements, and changes those that are needed for the first time, or no more.
func (t *table) share(shares map[shared]int, c *change) {
	for _, x := range slices.SortedFunc(maps.Keys(shares), shared.compare) {
		had, has := t.shares[x], t.shares[x]+shares[x]
		t.shares[x] = has
		switch {
		case had == 0 && has > 0:
			c.add = append(c.add, x.element())
		case had > 0 && has == 0 && isSecond(x.set):
			t.later = append(t.later, x.element())
		case had > 0 && has == 0:
			c.remove = append(c.remove, x.element())
		}
		if has == 0 {
			delete(t.shares, x)
		}
	}
}

// need adds the chains and sets that a service goes to, where they are missing, and notes their names in needed. An endpoint
// that went and comes again has forgotten its clients, who are with others by now.
func (t *table) need(s *service, c *change, needed map[string]bool) {
	missing := func(name string) bool {
		needed[name] = true
		if t.stale[name] && strings.HasPrefix(name, endpointPrefix) {
			c.forget = append(c.forget, name)
		}
		delete(t.stale, name)
		there := t.made[name]
		t.made[name] = true
		return !there
	}
	s.choices(func(v view, n int) {
		if missing(v.chain + strconv.Itoa(n)) {
			c.chains = append(c.chains, v.choice(t.family, n))
		}
	})
	s.stickies(t.family, func(s sticky) {
		for _, x := range s.chains {
			if !missing(x.name) {
				continue
			}
			c.chains = append(c.chains, x)
			if x.name != s.chain {
				c.sets = append(c.sets, dynamic{name: x.name, timeout: s.timeout})
			}
		}
	})
}

// retire leaves chains to sweep that are not needed any more.
func (t *table) retire(names, needed map[string]bool) {
	for name := range names {
		if !needed[name] {
			t.stale[name] = true
		}
	}
}

// run makes a change, when it is one.
func (t *table) run(ctx context.Context, what string, c *change) error {
	if c.empty() {
		return nil
	}
	if err := t.rules.Run(ctx, c); err != nil {
		return t.failed(what, err)
	}
	return nil
}

// sweep takes away what changes have left without use. That is not part of them: packets that are underway use it still, and
// kernels differ in when they take a chain for unused. Whatever comes of it, nothing leads there.
func (t *table) sweep(ctx context.Context) error {
	unused := &change{remove: t.later, retire: slices.Sorted(maps.Keys(t.stale))}
	if err := t.run(ctx, "sweep", unused); err != nil {
		return err
	}
	for name := range t.stale {
		delete(t.made, name)
	}
	clear(t.stale)
	t.later = nil
	return nil
}

// probes is how many services check looks at.
const probes = 4

// check tells whether the table is there, and elements of a few services; others each time. It asks whether they could be
// removed, which the kernel answers without a look at anything else.
func (t *table) check(ctx context.Context) error {
	if t.unusable != nil {
		return nil
	}
	c := &change{retire: []string{t.layout.marker}}
	for _, s := range t.services {
		if len(c.remove) >= probes {
			break
		}
		first := true
		s.elements(t.family, func(e element) {
			if first {
				c.remove = append(c.remove, e)
			}
			first = false
		})
	}
	err := t.rules.Check(ctx, c)
	if err == nil {
		err = t.intact(ctx, t.made)
	}
	if err != nil {
		return t.failed("check", err)
	}
	return nil
}

// refuse fails for the first service of a family that the kernel does not have.
func (t *table) refuse(list []*plan.Service) error {
	for _, p := range list {
		for i := range p.Frontends {
			if key := p.Frontends[i].Key; t.family.has(key.Addr) {
				return fmt.Errorf("%v of service %s: %w", key, id(p), t.unusable)
			}
		}
	}
	return nil
}

func (t *table) failed(what string, err error) error {
	return fmt.Errorf("to %s %v: %w", what, t.rules, err)
}

// policy emits the elements that are the operator's decisions.
func (f family) policy(p *plan.Policy, emit func(element)) {
	each := func(set string, list []netip.Prefix) {
		for _, cidr := range f.disjoint(list) {
			emit(element{set: set, key: prefix(cidr)})
		}
	}
	allowed := slices.Clone(p.AllowFrom)
	if p.AllowPods {
		allowed = append(allowed, p.PodCIDRs...)
	}
	each(setPods, p.PodCIDRs)
	each(setAllowed, allowed)
	each(setNodeAddrs, p.NodePortAddrs)
	if p.DropsUnallocated() {
		each(setServiceCIDRs, p.ServiceCIDRs)
	}
	if !p.AllowNode {
		for _, protocol := range protocols() {
			emit(element{set: mapNodeGate, key: protocol.String(), value: drop})
		}
	}
}
