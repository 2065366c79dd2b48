package nftables

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// differ turns what was and what is wanted into a change, and into what is to be removed after it.
type differ struct {
	was    map[string]map[string]string // set: key: value
	change *change
	later  []element
}

// had notes an element that was.
func (d *differ) had(e element) {
	set := d.was[e.set]
	if set == nil {
		set = map[string]string{}
		d.was[e.set] = set
	}
	set[e.key] = e.value
}

// want takes an element into the change, unless it was already.
func (d *differ) want(e element) {
	set := d.was[e.set]
	switch value, ok := set[e.key]; {
	case !ok:
		d.change.add = append(d.change.add, e)
	case value != e.value:
		d.change.remove = append(d.change.remove, element{e.set, e.key, value})
		d.change.add = append(d.change.add, e)
	}
	delete(set, e.key)
}

// rest removes what was and is not wanted: first what leads packets to something else, and later that. A packet that is
// underway when the kernel takes a change may have met the verdict of before, and needs its slot of before.
func (d *differ) rest() {
	for _, set := range slices.Sorted(maps.Keys(d.was)) {
		list := &d.change.remove
		if isSecond(set) {
			list = &d.later
		}
		for _, key := range slices.Sorted(maps.Keys(d.was[set])) {
			*list = append(*list, element{set, key, d.was[set][key]})
		}
	}
}

// state is what was read of the kernel's table.
type state struct {
	exists   bool
	fresh    bool            // there is none of our layout
	made     map[string]bool // chains beside the layout's
	hooks    []string        // of the chains through which packets come, those that there are
	elements map[string]map[string]string
}

// read reads the table. One that is not as we make it is as good as none: it will be replaced.
func (t *table) read(ctx context.Context) (*state, error) {
	names, err := t.rules.Contents(ctx)
	if err != nil {
		return nil, err
	}
	s := &state{exists: len(names.chains)+len(names.sets) > 0, made: names.chains, elements: map[string]map[string]string{}}
	for _, name := range t.layout.hooks() {
		if names.chains[name] {
			s.hooks = append(s.hooks, name)
		}
	}
	for _, c := range t.layout.chains {
		s.fresh = s.fresh || !names.chains[c.name]
		delete(s.made, c.name)
	}
	for _, o := range t.layout.objects {
		s.fresh = s.fresh || !names.sets[o.name]
	}
	if !s.fresh {
		err = cmp.Or(t.intact(ctx, s.made), t.fill(ctx, s))
	}
	if errors.Is(err, errForeign) {
		s.fresh, err = true, nil
	}
	if s.fresh {
		s = &state{exists: s.exists, hooks: s.hooks, fresh: true, made: map[string]bool{}}
	}
	return s, cmp.Or(err, ctx.Err())
}

// errForeign is of a table which is not as we make it: somebody else had a hand in it.
var errForeign = errors.New("not as nameplane makes it")

// fill reads the elements.
func (t *table) fill(ctx context.Context, s *state) (err error) {
	for _, o := range t.layout.objects {
		if s.elements[o.name], err = t.rules.Elements(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// intact tells whether all chains have their rules.
func (t *table) intact(ctx context.Context, made map[string]bool) error {
	count, err := t.rules.Rules(ctx)
	if err != nil {
		return err
	}
	for _, c := range t.layout.chains {
		if has := count[c.name]; has != len(c.rules) {
			return fmt.Errorf("%w: chain %s has %d rules, want %d", errForeign, c.name, has, len(c.rules))
		}
	}
	for name := range made {
		if count[name] == 0 {
			return fmt.Errorf("%w: chain %s has no rules", errForeign, name)
		}
	}
	return nil
}

// slots are those that the kernel has for a frontend.
func (s *state) slots(v view, k plan.Key) (list []netip.AddrPort) {
	elements := s.elements[v.endpoints+k.Protocol.String()]
	key := v.key(k)
	for {
		value, ok := elements[concat(key, strconv.Itoa(len(list)))]
		if !ok {
			return list
		}
		list = append(list, parseAddrPort(value))
	}
}

// parseAddrPort is the inverse of addrPort; not valid for anything else.
func parseAddrPort(text string) netip.AddrPort {
	addr, port, _ := strings.Cut(text, " . ")
	a, err := netip.ParseAddr(addr)
	n, err2 := strconv.ParseUint(port, 10, 16)
	if err != nil || err2 != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a, uint16(n))
}
