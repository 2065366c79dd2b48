package file

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"sort"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/server/wire"
)

// zone is the contents of a zone file. It does not change.
type zone struct {
	origin  wire.Name
	soa     *dns.SOA
	nodes   map[wire.Name]*node // names with records, and empty non-terminals
	order   []*node             // those with records, in canonical order (RFC 4034, section 6.1)
	secured []*node             // those with an NSEC record, in that order
}

// node is a name of the zone.
type node struct {
	name wire.Name
	sets map[uint16]*set // by type; none for an empty non-terminal
}

// set is the records of one type, and their signatures.
type set struct{ records, sigs []dns.RR }

// errUnchanged is what parse says of a file whose serial is that of the zone already loaded.
var errUnchanged = fmt.Errorf("the serial has not changed")

// parse reads a master file (RFC 1035, section 5). Errors name its path. A file whose first SOA record has the serial of have, if that is not
// nil, is not read further. outside is told of records that don't lie in the zone, which are left out.
func parse(text io.Reader, path string, origin wire.Name, have *zone, outside func(dns.RR)) (*zone, error) {
	z := &zone{origin: origin, nodes: map[wire.Name]*node{}}
	parser := dns.NewZoneParser(text, origin.String(), path)
	parser.SetIncludeAllowed(true)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		if soa, ok := rr.(*dns.SOA); ok && z.soa == nil && have != nil && soa.Serial == have.soa.Serial {
			return nil, errUnchanged
		}
		name, err := wire.ParseName(rr.Header().Name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if err := z.insert(name, rr, outside); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	if err := parser.Err(); err != nil {
		return nil, err
	}
	if z.soa == nil {
		return nil, fmt.Errorf("%s: there is no SOA record for %s", path, origin)
	}
	z.sort()
	return z, nil
}

// insert adds a record. Owners are in lower case.
func (z *zone) insert(name wire.Name, rr dns.RR, outside func(dns.RR)) error {
	if soa, ok := rr.(*dns.SOA); ok {
		if name != z.origin {
			return fmt.Errorf("the SOA record is of %s, want %s", name, z.origin)
		}
		z.soa = soa
		if n := z.nodes[name]; n != nil {
			delete(n.sets, dns.TypeSOA) // of several the last counts
		}
	}
	if !z.origin.Contains(name) {
		outside(rr)
		return nil
	}
	rtype, signature := rr.Header().Rrtype, false
	switch rtype {
	case dns.TypeNSEC3, dns.TypeNSEC3PARAM:
		return fmt.Errorf("%s has an %s record: zones with NSEC3 are not served; sign with NSEC", name, dns.TypeToString[rtype])
	case dns.TypeRRSIG:
		rtype, signature = rr.(*dns.RRSIG).TypeCovered, true
	}
	rr.Header().Name = name.String()
	n := z.node(name)
	if n.sets == nil {
		n.sets = map[uint16]*set{}
	}
	s := n.sets[rtype]
	if s == nil {
		s = &set{}
		n.sets[rtype] = s
	}
	if signature {
		s.sigs = append(s.sigs, rr)
		return nil
	}
	if !slices.ContainsFunc(s.records, func(have dns.RR) bool { return dns.IsDuplicate(have, rr) }) {
		s.records = append(s.records, rr)
	}
	return nil
}

// node finds or makes that of a name in the zone, and those between it and the zone's own (RFC 4592, section 2.2.2).
func (z *zone) node(name wire.Name) *node {
	if n := z.nodes[name]; n != nil {
		return n
	}
	n := &node{name: name}
	z.nodes[name] = n
	if name != z.origin {
		z.node(parent(name))
	}
	return n
}

func parent(name wire.Name) wire.Name { return name[1+name[0]:] }

func (z *zone) sort() {
	for _, n := range z.nodes {
		if len(n.sets) > 0 {
			z.order = append(z.order, n)
		}
	}
	slices.SortFunc(z.order, func(a, b *node) int { return compare(a.name, b.name) })
	for _, n := range z.order {
		if len(n.records(dns.TypeNSEC)) > 0 {
			z.secured = append(z.secured, n)
		}
	}
}

// compare is the canonical order of names: label by label from the right, each as bytes (RFC 4034, section 6.1).
func compare(a, b wire.Name) int {
	one, two := labels(a), labels(b)
	for i := 1; i <= min(len(one), len(two)); i++ {
		if c := cmp.Compare(one[len(one)-i], two[len(two)-i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(one), len(two))
}

// labels are those of a name, without their lengths.
func labels(name wire.Name) (list []string) {
	for ; name != wire.Root; name = parent(name) {
		list = append(list, string(name[1:1+name[0]]))
	}
	return list
}

// before is the last secured name before this one; NSEC records make a circle.
func (z *zone) before(name wire.Name) *node {
	if len(z.secured) == 0 {
		return nil
	}
	i := sort.Search(len(z.secured), func(i int) bool { return compare(z.secured[i].name, name) >= 0 })
	return z.secured[(i+len(z.secured)-1)%len(z.secured)]
}

// records are those of a type.
func (n *node) records(rtype uint16) []dns.RR {
	if rtype == dns.TypeRRSIG {
		return n.signatures()
	}
	if s := n.sets[rtype]; s != nil {
		return s.records
	}
	return nil
}

// signed is the records of a type, and if they are wanted their signatures behind them.
func (n *node) signed(rtype uint16, do bool) []dns.RR {
	records := n.records(rtype)
	if !do || len(records) == 0 || rtype == dns.TypeRRSIG {
		return slices.Clone(records)
	}
	return slices.Concat(records, n.sets[rtype].sigs)
}

func (n *node) signatures() (all []dns.RR) {
	for _, rtype := range slices.Sorted(maps.Keys(n.sets)) {
		all = append(all, n.sets[rtype].sigs...)
	}
	return all
}

// all yields the zone's records but the SOA: the zone's own name first.
func (z *zone) all(yield func(dns.RR) bool) {
	for _, n := range z.order {
		for _, rtype := range slices.Sorted(maps.Keys(n.sets)) {
			s := n.sets[rtype]
			for _, list := range [...][]dns.RR{s.records, s.sigs} {
				for _, rr := range list {
					if rr.Header().Rrtype != dns.TypeSOA && !yield(rr) {
						return
					}
				}
			}
		}
	}
}
