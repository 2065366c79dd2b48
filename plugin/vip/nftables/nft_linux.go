package nftables

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/knftables"
)

// openRules finds nft, and asks whether it may do anything at all.
func openRules(f family) (ruleset, error) { return openNFT(f, tableName) }

func openNFT(f family, name string) (*nft, error) {
	i, err := knftables.New(knftables.Family(f.name), name)
	if err != nil {
		return nil, err
	}
	n := newNFT(f, name, i)
	n.reader = &reader{f, name}
	return n, nil
}

// nft is a ruleset by the program nft. Its text goes in by standard input, so its size has no limit.
type nft struct {
	knftables.Interface
	family family
	name   string
	layout layout
	reader *reader // nil where i is no kernel's
}

func newNFT(f family, name string, i knftables.Interface) *nft {
	return &nft{Interface: i, family: f, name: name, layout: newLayout(f)}
}

// String is the table as nft names it.
func (n *nft) String() string { return "table " + n.family.name + " " + n.name }

// Twin opens the table that serves while ours is replaced.
func (n *nft) Twin() (ruleset, error) { return openNFT(n.family, tableName+"-twin") }

// Contents are the names of the table's parts.
func (n *nft) Contents(ctx context.Context) (contents, error) {
	if n.reader != nil {
		return n.reader.contents()
	}
	c := contents{chains: map[string]bool{}, sets: map[string]bool{}}
	all, err := n.ListAll(ctx)
	if err != nil && !knftables.IsNotFound(err) {
		return c, err
	}
	for _, name := range all["chain"] {
		c.chains[name] = true
	}
	for _, name := range append(all["set"], all["map"]...) {
		c.sets[name] = true
	}
	return c, nil
}

// Rules are how many rules each chain has.
func (n *nft) Rules(ctx context.Context) (map[string]int, error) {
	if n.reader != nil {
		return n.reader.rules()
	}
	count := map[string]int{}
	list, err := n.ListRules(ctx, "")
	for _, rule := range list {
		count[rule.Chain]++
	}
	return count, err
}

// Elements are those of one set or map. The few of intervals, which the kernel keeps as it likes, nft puts together.
func (n *nft) Elements(ctx context.Context, o object) (map[string]string, error) {
	if n.reader != nil && !o.interval {
		return n.reader.elements(o)
	}
	kind := "set"
	if o.isMap {
		kind = "map"
	}
	list, err := n.ListElements(ctx, kind, o.name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errForeign, err) // most likely an interval that is no prefix
	}
	found := make(map[string]string, len(list))
	for _, e := range list {
		found[normal(e.Key, o.protocolAt())] = normal(e.Value, -1)
	}
	return found, nil
}

func (n *nft) Run(ctx context.Context, c *change) error {
	return n.Interface.Run(ctx, n.transaction(c))
}

func (n *nft) Check(ctx context.Context, c *change) error {
	return n.Interface.Check(ctx, n.transaction(c))
}

// Delete adds the table first, as to delete none is an error.
func (n *nft) Delete(ctx context.Context) error {
	tx := n.NewTransaction()
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
	return n.Interface.Run(ctx, tx)
}

// transaction orders a change so that at no step something refers to what is not there.
func (n *nft) transaction(c *change) *knftables.Transaction {
	tx := n.NewTransaction()
	for _, name := range c.unhook {
		tx.Flush(&knftables.Chain{Name: name})
		tx.Delete(&knftables.Chain{Name: name})
	}
	if c.fresh {
		n.renew(tx)
	}
	if c.fresh || c.hooks == hooksOnly {
		addChains(tx, n.layout.with(c.hooks))
	}
	for _, e := range c.remove {
		tx.Delete(e.object(false))
	}
	for _, name := range c.forget {
		tx.Flush(&knftables.Set{Name: name})
	}
	for _, s := range c.sets {
		tx.Add(&knftables.Set{
			Name: s.name, Type: n.family.addrType, Timeout: &s.timeout,
			Flags: []knftables.SetFlag{knftables.DynamicFlag, knftables.TimeoutFlag},
		})
	}
	addChains(tx, c.chains)
	n.addElements(tx, c.add)
	for _, name := range c.retire {
		tx.Flush(&knftables.Chain{Name: name})
	}
	for _, name := range c.retire {
		tx.Delete(&knftables.Chain{Name: name})
	}
	for _, name := range c.retire {
		if strings.HasPrefix(name, endpointPrefix) {
			tx.Delete(&knftables.Set{Name: name})
		}
	}
	return tx
}

// renew replaces the table by an empty one.
func (n *nft) renew(tx *knftables.Transaction) {
	comment := "made by nameplane, which replaces it; " + n.layout.marker
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
	tx.Add(&knftables.Table{Comment: &comment})
	for _, o := range n.layout.objects {
		tx.Add(o.object())
	}
}

// addChains adds all chains before the first rule, since rules name chains.
func addChains(tx *knftables.Transaction, list []chain) {
	for i := range list {
		tx.Add(list[i].object())
	}
	for _, c := range list {
		for _, rule := range c.rules {
			tx.Add(&knftables.Rule{Chain: c.name, Rule: rule})
		}
	}
}

// bundle is how many elements one command adds.
const bundle = 500

// addElements adds many elements of a set by one command: nft takes twice the time and the memory for as many commands. That
// an object of knftables stands for several elements is known to nft alone, so in no kernel each has its own.
func (n *nft) addElements(tx *knftables.Transaction, list []element) {
	if n.reader == nil {
		for _, e := range list {
			tx.Add(e.object(true))
		}
		return
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b element) int { return cmp.Compare(a.set, b.set) })
	for len(list) > 0 {
		size := 1
		for size < min(len(list), bundle) && list[size].set == list[0].set {
			size++
		}
		last := list[size-1]
		keys := make([]string, 0, size)
		for _, e := range list[:size-1] {
			keys = append(keys, e.inner())
		}
		last.key = strings.Join(append(keys, last.key), ", ")
		tx.Add(last.object(true))
		list = list[size:]
	}
}

func (c *chain) object() knftables.Object {
	o := &knftables.Chain{Name: c.name}
	if c.hook != "" {
		o.Type = knftables.PtrTo(knftables.BaseChainType(c.kind))
		o.Hook = knftables.PtrTo(knftables.BaseChainHook(c.hook))
		o.Priority = knftables.PtrTo(knftables.BaseChainPriority(c.priority))
	}
	return o
}

func (o object) object() knftables.Object {
	var flags []knftables.SetFlag
	if o.interval {
		flags = []knftables.SetFlag{knftables.IntervalFlag}
	}
	if o.isMap {
		return &knftables.Map{Name: o.name, Type: o.typ, TypeOf: o.typeof, Flags: flags}
	}
	return &knftables.Set{Name: o.name, Type: o.typ, TypeOf: o.typeof, Flags: flags}
}

func (e *element) object(add bool) knftables.Object {
	o := &knftables.Element{Key: []string{e.key}}
	switch {
	case e.value == "":
		o.Set = e.set
	case add:
		o.Map, o.Value = e.set, []string{e.value}
	default:
		o.Map = e.set
	}
	return o
}
