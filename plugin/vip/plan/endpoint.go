package plan

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/nameplane/nameplane/cluster"
)

// Fate is why an endpoint gets its share of a frontend's clients, or none.
type Fate uint8

// The fates; the first two get a share.
const (
	Used Fate = iota
	LastResort
	NotReady
	Ending
	OtherNode
	OtherHintNode
	OtherHintZone
	NoSuchPort
	OtherFamily
	Duplicate
)

// String says it in a few words, for a table.
func (f Fate) String() string {
	return [...]string{
		Used:          "ready",
		LastResort:    "terminating, but still serves, and none is ready",
		NotReady:      "not ready",
		Ending:        "terminating, while others are ready",
		OtherNode:     "on another node, and the traffic policy is Local",
		OtherHintNode: "hinted for other nodes",
		OtherHintZone: "hinted for other zones",
		NoSuchPort:    "its slice has no such port",
		OtherFamily:   "of the other address family",
		Duplicate:     "named more than once",
	}[f]
}

// used tells whether the endpoint gets clients.
func (f Fate) used() bool { return f <= LastResort }

// candidate is an endpoint as one port and family of its service sees it.
type candidate struct {
	at          netip.AddrPort
	index       int // in Service.Backends
	ready       bool
	serving     bool
	terminating bool
	local       bool
	node, zone  hint
	joined      Fate // what was known before policy and topology: Used, NoSuchPort, OtherFamily or Duplicate
	fate        Fate
}

// ends tells whether the endpoint terminates, but still serves.
func (c *candidate) ends() bool { return c.serving && c.terminating }

// hint is what an endpoint's hints say of this node, or of its zone.
type hint uint8

const (
	noHint hint = iota
	here
	elsewhere
)

func hintOf(names []string, own string) hint {
	switch {
	case len(names) == 0:
		return noHint
	case slices.Contains(names, own):
		return here
	}
	return elsewhere
}

// join are a service's endpoints for one of its ports and one family, sorted, those that do not take part included: an
// endpoint belongs to a port by the port's name and protocol in its slice (KEP-752). A port without a number belongs to
// none.
func (v *view) join(svc *cluster.Service, port cluster.Port, four bool) []candidate {
	node, zone := v.nodeName(), v.zone()
	list := make([]candidate, svc.Backends.Len())
	for i := range list {
		b := svc.Backends.At(i)
		c := &list[i]
		*c = candidate{
			index: i, ready: b.Ready, serving: b.Serving, terminating: b.Terminating,
			local: node != "" && b.Node == node, node: hintOf(b.ForNodes, node), zone: hintOf(b.ForZones, zone),
		}
		number := numberOf(b.Ports, port)
		c.at = netip.AddrPortFrom(b.Addr.Netip(), number)
		switch {
		case b.Addr.Is4() != four:
			c.joined = OtherFamily
		case number == 0:
			c.joined = NoSuchPort
		}
	}
	if !slices.IsSortedFunc(list, byPreference) {
		slices.SortFunc(list, byPreference)
	}
	for i := 1; i < len(list); i++ {
		if list[i].joined == Used && list[i-1].at == list[i].at {
			list[i].joined = Duplicate
		}
	}
	return list
}

// byPreference orders by address and port, and of several with the same the one first that is most alive: an endpoint that
// moves between slices is in two of them for a while, and need not look the same in both.
func byPreference(a, b candidate) int {
	return cmp.Or(a.at.Compare(b.at), bad(a.terminating)-bad(b.terminating), bad(!a.ready)-bad(!b.ready),
		bad(!a.serving)-bad(!b.serving), bad(!a.local)-bad(!b.local), cmp.Compare(a.index, b.index))
}

func bad(is bool) int {
	if is {
		return 1
	}
	return 0
}

// numberOf is the number that a slice gives a service's port; 0 for none.
func numberOf(ports []cluster.Port, want cluster.Port) uint16 {
	for _, p := range ports {
		if p.Name == want.Name && p.Protocol == want.Protocol {
			return p.Number
		}
	}
	return 0
}

// judge decides each candidate's fate, for traffic policy Cluster or Local. Those that are ready count, and with policy
// Cluster only those that hints allow (KEP-4444, KEP-3015); with none of them those that end but still serve do (KEP-1669).
func judge(list []candidate, local bool) {
	prefer := byReady
	if !local {
		prefer = topology(list)
	}
	any := false
	for i := range list {
		c := &list[i]
		switch {
		case c.joined != Used:
			c.fate = c.joined
		case local && !c.local:
			c.fate = OtherNode
		case !c.ready:
			c.fate = NotReady
		case prefer == byNode && c.node != here:
			c.fate = OtherHintNode
		case prefer == byZone && c.zone != here:
			c.fate = OtherHintZone
		default:
			c.fate, any = Used, true
		}
	}
	for i := range list {
		if c := &list[i]; c.fate == NotReady && c.ends() {
			c.fate = Ending
			if !any {
				c.fate = LastResort
			}
		}
	}
}

// preference is by what ready endpoints are chosen.
type preference uint8

const (
	byReady preference = iota
	byNode
	byZone
)

// topology is what the hints of the ready endpoints amount to: they count when all have some, and one means us; so a cluster
// that is in the midst of a change never leaves a node without endpoints.
func topology(list []candidate) preference {
	nodes, zones := true, true
	forNode, forZone := false, false
	for i := range list {
		c := &list[i]
		if c.joined != Used || !c.ready {
			continue
		}
		nodes, zones = nodes && c.node != noHint, zones && c.zone != noHint
		forNode, forZone = forNode || c.node == here, forZone || c.zone == here
	}
	switch {
	case nodes && forNode:
		return byNode
	case zones && forZone:
		return byZone
	}
	return byReady
}

// chosen are the addresses of the candidates that keep accepts, in order; nil for none.
func chosen(list []candidate, keep func(*candidate) bool) []netip.AddrPort {
	n := 0
	for i := range list {
		if keep(&list[i]) {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	out := make([]netip.AddrPort, 0, n)
	for i := range list {
		if keep(&list[i]) {
			out = append(out, list[i].at)
		}
	}
	return out
}
