package nftables

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/nameplane/nameplane/cluster"
)

// tableName is that of both our tables.
const tableName = "nameplane"

// The sets and maps that are not of a view.
const (
	setClusterIPs   = "cluster-ips"   // addresses that answer only those whom policy allows, and reject ports that they don't have
	setHairpin      = "hairpin"       // endpoint . endpoint: those who are led to themselves
	setRestricted   = "restricted"    // frontends with loadBalancerSourceRanges
	setSources      = "sources"       // frontend . client
	setPods         = "pods"          // where pods are
	setAllowed      = "allowed"       // who may use cluster IPs, this node apart
	setServiceCIDRs = "service-cidrs" // in which what nobody has is dropped
	setNodeAddrs    = "node-addrs"    // on which NodePorts answer
	mapNodeGate     = "node-gate"     // protocol : drop, where this node may not use cluster IPs
)

// The chains that elements name.
const (
	chainRefuse = "refuse"
	gotoRefuse  = "goto " + chainRefuse
	drop        = "drop"
)

// isSecond tells whether packets meet a set only after another one has led them there. Who is let in is not of that kind: what
// is taken out of it counts at once.
func isSecond(set string) bool {
	if set == setHairpin {
		return true
	}
	for _, p := range protocols() {
		for _, v := range views() {
			if set == v.endpoints+p.String() || set == masqMap(v.nodePort, p) {
				return true
			}
		}
	}
	return false
}

// view is one of the parallel sets of maps: who is led by it, and how what they dial is written.
type view struct {
	verdicts  string // map of what was dialled to a verdict
	endpoints string // maps of what was dialled and a slot to an endpoint, one for each protocol
	chain     string // chains that choose a slot
	nodePort  bool   // what was dialled is a port alone
	outside   bool   // of clients from outside
}

// viewOf is the view of frontends of a kind, for clients that are led as those inside are, or for those outside. Generic
// maps for all protocols would be fewer, but nft can add to those only in the transaction that makes them.
func viewOf(nodePort, outside bool) view {
	v := view{verdicts: "svc", endpoints: "ep-", chain: "lb-", nodePort: nodePort, outside: outside}
	if nodePort {
		v.verdicts, v.endpoints, v.chain = "np", "np-ep-", "np-lb-"
	}
	if outside {
		v.verdicts, v.endpoints, v.chain = v.verdicts+"-out", v.endpoints+"out-", v.chain+"out-"
	}
	return v
}

func views() [4]view {
	return [4]view{viewOf(false, false), viewOf(false, true), viewOf(true, false), viewOf(true, true)}
}

func protocols() [3]cluster.Protocol {
	return [3]cluster.Protocol{cluster.TCP, cluster.UDP, cluster.SCTP}
}

// object is a set or map. Of typ and typeof one is given.
type object struct {
	name, typ, typeof string
	isMap, interval   bool
}

// chain is a chain with its rules.
type chain struct {
	name     string
	hook     string // empty for one that others go to
	kind     string // nat or filter
	priority string
	rules    []string
}

// layout is what a table has always: all but elements, the chains that choose among n endpoints, and affinity.
type layout struct {
	objects []object
	chains  []chain
	marker  string // name of an empty chain by which a table of this layout is known
}

// newLayout is the layout of a family's table. Our priority is before kube-proxy's: of two chains with the same priority the
// one that was registered last comes first, so it would be decided by who was started when.
func newLayout(f family) layout {
	l := layout{objects: objects(), chains: chains()}
	for i := range l.objects {
		o := &l.objects[i]
		o.typ, o.typeof = f.spell(o.typ), f.spell(o.typeof)
	}
	for i := range l.chains {
		for j, rule := range l.chains[i].rules {
			l.chains[i].rules[j] = f.spell(rule)
		}
	}
	l.marker = l.hash(f)
	l.chains = append(l.chains, chain{name: l.marker})
	return l
}

// with are the chains that a change makes.
func (l layout) with(h hooking) []chain {
	return slices.DeleteFunc(slices.Clone(l.chains), func(c chain) bool {
		return c.hook != "" && h == noHooks || c.hook == "" && h == hooksOnly
	})
}

// hooks are the names of the chains through which packets come.
func (l layout) hooks() (names []string) {
	for _, c := range l.with(hooksOnly) {
		names = append(names, c.name)
	}
	return names
}

// hash is made of all that tables of a layout have in common, so that no part can change without the whole being taken for
// another layout.
func (l layout) hash(f family) string {
	hash := fnv.New64a()
	fmt.Fprintf(hash, "%+v", l)
	for _, v := range views() {
		fmt.Fprintf(hash, "%+v", v.choice(f, 2))
	}
	return fmt.Sprintf("layout-%016x", hash.Sum64())
}

func objects() []object {
	list := []object{
		{name: setClusterIPs, typ: "$addr"},
		{name: setHairpin, typ: "$addr . $addr"},
		{name: setRestricted, typ: "$addr . inet_proto . inet_service"},
		{name: setSources, typ: "$addr . inet_proto . inet_service . $addr", interval: true},
		{name: setPods, typ: "$addr", interval: true},
		{name: setAllowed, typ: "$addr", interval: true},
		{name: setServiceCIDRs, typ: "$addr", interval: true},
		{name: setNodeAddrs, typ: "$addr", interval: true},
		{name: mapNodeGate, typ: "inet_proto : verdict", isMap: true},
	}
	for _, v := range views() {
		address := "$addr . "
		if v.nodePort {
			address = ""
		}
		list = append(list, object{name: v.verdicts, typ: address + "inet_proto . inet_service : verdict", isMap: true})
		for _, p := range protocols() {
			list = append(list, object{
				name: v.endpoints + p.String(), isMap: true,
				typeof: v.dialled(p) + " . numgen random mod 2 : $ip daddr . " + p.String() + " dport",
			})
		}
	}
	for _, p := range protocols() {
		list = append(list,
			object{name: masqMap(false, p), typ: "$addr . inet_service : verdict", isMap: true},
			object{name: masqMap(true, p), typ: "inet_service : verdict", isMap: true})
	}
	return list
}

// dialled is what a packet's address and port of a protocol are called.
func (v view) dialled(p cluster.Protocol) string {
	if v.nodePort {
		return p.String() + " dport"
	}
	return "$ip daddr . " + p.String() + " dport"
}

// choice is the chain that leads to one of n endpoints. A slot that was just taken away is dropped: the client sends again.
func (v view) choice(f family, n int) chain {
	c := chain{name: fmt.Sprintf("%s%d", v.chain, n)}
	for _, p := range protocols() {
		c.rules = append(c.rules, f.spell(fmt.Sprintf("dnat $ip addr . port to %s . numgen random mod %d map @%s%s",
			v.dialled(p), n, v.endpoints, p)))
	}
	c.rules = append(c.rules, drop)
	return c
}

func masqMap(nodePort bool, p cluster.Protocol) string {
	if nodePort {
		return "np-masq-" + p.String()
	}
	return "masq-" + p.String()
}

func chains() []chain {
	const (
		dialled   = "$ip daddr . meta l4proto . th dport"
		port      = "meta l4proto . th dport"
		isNode    = "$ip daddr @" + setNodeAddrs + " $ip daddr != $loopback fib daddr type local "
		outside   = "$ip saddr != @" + setPods + " "
		before    = "-5"
		clusterIP = "$ip daddr @" + setClusterIPs + " "
	)
	list := []chain{
		// The kernel sends one client few ICMP errors a second (icmp_ratelimit), but any number of resets.
		{name: chainRefuse, rules: []string{"meta l4proto tcp reject with tcp reset", "reject"}},
		{name: "prerouting", kind: "nat", hook: "prerouting", priority: "dstnat" + before, rules: []string{
			clusterIP + "$ip saddr != @" + setAllowed + " drop",
			"jump admit",
			outside + dialled + " vmap @svc-out",
			dialled + " vmap @svc",
			"jump unknown",
			isNode + outside + port + " vmap @np-out",
			isNode + port + " vmap @np",
		}},
		{name: "output", kind: "nat", hook: "output", priority: "dstnat" + before, rules: []string{
			clusterIP + "$ip saddr != @" + setAllowed + " meta l4proto vmap @" + mapNodeGate,
			"jump admit",
			dialled + " vmap @svc",
			"jump unknown",
			isNode + port + " vmap @np",
		}},
		{name: "admit", rules: []string{
			dialled + " @" + setRestricted + " " + dialled + " . $ip saddr != @" + setSources + " drop",
		}},
		{name: "unknown", rules: []string{
			clusterIP + gotoRefuse,
			"$ip daddr @" + setServiceCIDRs + " drop",
		}},
		{name: "forward", kind: "filter", hook: "forward", priority: "filter" + before, rules: []string{
			// What conntrack cannot place is not translated back: the client would see an address that it never dialled, and
			// reset the connection.
			"ct state invalid $ip saddr @" + setPods + " drop",
		}},
		{name: "postrouting", kind: "nat", hook: "postrouting", priority: "srcnat" + before, rules: []string{"ct status dnat jump translated"}},
		{name: "translated", rules: translated()},
	}
	return append(list, masquerades()...)
}

func translated() []string {
	rules := []string{
		"$ip saddr . $ip daddr @" + setHairpin + " masquerade fully-random",
	}
	for _, p := range protocols() {
		original := "meta l4proto " + p.String() + " ct original "
		rules = append(rules,
			original+"$ip daddr . ct original proto-dst vmap @"+masqMap(false, p),
			original+"$ip daddr @"+setNodeAddrs+" ct original proto-dst vmap @"+masqMap(true, p))
	}
	return rules
}

// masq says which clients are masqueraded.
type masq struct{ pods, node, outside bool }

// chain is the name of the chain for it; empty for nobody.
func (m masq) chain() string {
	if m == (masq{}) {
		return ""
	}
	var b strings.Builder
	b.WriteString("masq")
	for _, part := range []struct {
		is   bool
		name string
	}{{m.pods, "-pods"}, {m.node, "-node"}, {m.outside, "-outside"}} {
		if part.is {
			b.WriteString(part.name)
		}
	}
	return b.String()
}

// masquerades are the chains for all that masq can say.
func masquerades() (list []chain) {
	const isPod, isNode = "$ip saddr @" + setPods + " ", "fib saddr type local "
	const notPod, notNode = "$ip saddr != @" + setPods + " ", "fib saddr type != local "
	for bits := 1; bits < 8; bits++ {
		m := masq{pods: bits&1 != 0, node: bits&2 != 0, outside: bits&4 != 0}
		c := chain{name: m.chain()}
		for _, rule := range []struct {
			is   bool
			text string
		}{{m.node, isNode}, {m.pods, notNode + isPod}, {m.outside, notNode + notPod}} {
			if rule.is {
				c.rules = append(c.rules, rule.text+"masquerade fully-random")
			}
		}
		list = append(list, c)
	}
	return list
}
