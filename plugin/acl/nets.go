package acl

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// nets is a set of networks.
type nets struct {
	prefixes map[netip.Prefix]struct{} // masked, IPv4 never in its mapped form
	lengths4 []int                     // that occur in prefixes of IPv4
	lengths6 []int
}

// add takes a network or a single address.
func (n *nets) add(text string) error {
	prefix, err := parseNet(text)
	if err != nil {
		return err
	}
	if n.prefixes == nil {
		n.prefixes = map[netip.Prefix]struct{}{}
	}
	n.prefixes[prefix] = struct{}{}
	lengths := &n.lengths6
	if prefix.Addr().Is4() {
		lengths = &n.lengths4
	}
	if !slices.Contains(*lengths, prefix.Bits()) {
		*lengths = append(*lengths, prefix.Bits())
	}
	return nil
}

// contain tells whether addr, which is not in its mapped form, lies in one of the networks. A zone does not count.
func (n *nets) contain(addr netip.Addr) bool {
	lengths := n.lengths4
	if addr.Is6() {
		addr, lengths = addr.WithZone(""), n.lengths6
	}
	for _, bits := range lengths {
		prefix, err := addr.Prefix(bits)
		if err != nil {
			continue
		}
		if _, ok := n.prefixes[prefix]; ok {
			return true
		}
	}
	return false
}

func parseNet(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		addr, err := netip.ParseAddr(text)
		if err == nil && addr.Zone() == "" {
			addr = addr.Unmap()
			return netip.PrefixFrom(addr, addr.BitLen()), nil
		}
	} else if prefix, err := netip.ParsePrefix(text); err == nil {
		return unmap(prefix).Masked(), nil
	}
	return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", text)
}

// unmap turns a network of mapped addresses (RFC 4291, section 2.5.5.2) into the IPv4 one that clients are seen with.
func unmap(prefix netip.Prefix) netip.Prefix {
	const mapped = 96
	if prefix.Addr().Is4In6() && prefix.Bits() >= mapped {
		return netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-mapped)
	}
	return prefix
}
