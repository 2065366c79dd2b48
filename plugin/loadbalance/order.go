package loadbalance

import (
	"net/netip"
	"slices"

	"github.com/miekg/dns"
)

// sorted are records by what their order means to clients: some resolvers want CNAMEs before the addresses they lead to.
type sorted struct {
	cname, address, mx, rest []dns.RR
}

func sortOut(records []dns.RR) (s sorted) {
	for _, rr := range records {
		switch rr.Header().Rrtype {
		case dns.TypeCNAME:
			s.cname = append(s.cname, rr)
		case dns.TypeA, dns.TypeAAAA:
			s.address = append(s.address, rr)
		case dns.TypeMX:
			s.mx = append(s.mx, rr)
		default:
			s.rest = append(s.rest, rr)
		}
	}
	return s
}

// preferred puts addresses of the first subnet first, then those of the second, and so on; else their order stays.
func preferred(records []dns.RR, subnets []netip.Prefix) []dns.RR {
	s := sortOut(records)
	slices.SortStableFunc(s.address, func(a, b dns.RR) int { return rank(a, subnets) - rank(b, subnets) })
	return slices.Concat(s.cname, s.address, s.mx, s.rest)
}

// rank is the number of the first subnet that holds an address.
func rank(rr dns.RR, subnets []netip.Prefix) int {
	addr := addressOf(rr)
	i := slices.IndexFunc(subnets, func(subnet netip.Prefix) bool { return subnet.Contains(addr) })
	if i < 0 {
		return len(subnets)
	}
	return i
}

// addressOf is the address in an A or AAAA record.
func addressOf(rr dns.RR) netip.Addr {
	var addr netip.Addr
	switch rr := rr.(type) {
	case *dns.A:
		addr, _ = netip.AddrFromSlice(rr.A)
	case *dns.AAAA:
		addr, _ = netip.AddrFromSlice(rr.AAAA)
	}
	return addr.Unmap()
}
