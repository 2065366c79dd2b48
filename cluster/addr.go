package cluster

import (
	"net/netip"
)

// Addr is an IP address as 16 bytes; IPv4 in the mapped form ::ffff:a.b.c.d. Unlike netip.Addr it holds no pointer,
// so a slice of endpoints is nothing to the garbage collector.
type Addr [16]byte

// AddrFrom is a's 16 bytes. The zone of a link-local address is dropped: no cluster object has one.
func AddrFrom(a netip.Addr) Addr { return a.As16() }

// ParseAddr reads an address as a Kubernetes object spells it.
func ParseAddr(s string) (Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return Addr{}, err
	}
	return AddrFrom(a), nil
}

// Is4 tells whether a is an IPv4 address.
func (a *Addr) Is4() bool {
	return *(*[12]byte)(a[:12]) == [12]byte{10: 0xff, 11: 0xff}
}

// Bytes is the address as an A or AAAA record carries it: 4 or 16 bytes, not to be changed.
func (a *Addr) Bytes() []byte {
	if a.Is4() {
		return a[12:]
	}
	return a[:]
}

// Netip is the address as the standard library has it.
func (a Addr) Netip() netip.Addr { return netip.AddrFrom16(a).Unmap() }

// String is the address in the usual notation.
func (a Addr) String() string { return a.Netip().String() }

// AppendDashed appends the label by which an endpoint without a hostname is known: the address with dashes for dots
// and colons, and a final 0 where it would end in a dash (Kubernetes DNS specification 1.1.0, section 2.4.1).
func (a Addr) AppendDashed(b []byte) []byte {
	start := len(b)
	b = a.Netip().AppendTo(b)
	for i := start; i < len(b); i++ {
		if b[i] == '.' || b[i] == ':' {
			b[i] = '-'
		}
	}
	if len(b) > start && b[len(b)-1] == '-' {
		b = append(b, '0')
	}
	return b
}

// ParseLabel is the address that a label spells with dashes for dots or colons, in any spelling that the address has:
// three single dashes make it IPv4, everything else is IPv6. It takes what CoreDNS takes as a pod's name.
func ParseLabel(label []byte) (addr Addr, ok bool) {
	if isDotted(label) {
		return undash4(label)
	}
	return undash6(label)
}

// ParseDashed is the address that AppendDashed wrote as label; ok is false for any other spelling of it.
func ParseDashed(label []byte) (addr Addr, ok bool) {
	if len(label) == 0 || len(label) > 46 {
		return addr, false
	}
	if addr, ok = ParseLabel(label); !ok {
		return addr, false
	}
	var again [48]byte
	return addr, string(addr.AppendDashed(again[:0])) == string(label)
}

// isDotted tells whether the dashes of a label stand for the dots of an IPv4 address.
func isDotted(label []byte) bool {
	dashes := 0
	for i, c := range label {
		if c != '-' {
			continue
		}
		if i > 0 && label[i-1] == '-' {
			return false
		}
		dashes++
	}
	return dashes == 3
}

// undash4 reads a-b-c-d: netip.ParseAddr would want a string, and a string would be an allocation.
func undash4(label []byte) (addr Addr, ok bool) {
	addr[10], addr[11] = 0xff, 0xff
	octet, digits, at := 0, 0, 12
	for i := 0; i <= len(label); i++ {
		if i == len(label) || label[i] == '-' {
			if digits == 0 || at == 16 {
				return addr, false
			}
			addr[at] = byte(octet)
			at, octet, digits = at+1, 0, 0
			continue
		}
		if label[i] < '0' || label[i] > '9' || digits > 0 && octet == 0 {
			return addr, false
		}
		octet, digits = octet*10+int(label[i]-'0'), digits+1
		if octet > 255 {
			return addr, false
		}
	}
	return addr, at == 16
}

// undash6 reads groups of hexadecimal digits between dashes, with at most one "--" for the zeros.
func undash6(label []byte) (addr Addr, ok bool) {
	var group [8]uint16
	n, gap := 0, -1
	for i := 0; i < len(label); {
		if label[i] == '-' {
			if i+1 < len(label) && label[i+1] == '-' {
				if gap >= 0 {
					return addr, false
				}
				if gap, i = n, i+2; i < len(label) && label[i] == '-' {
					return addr, false
				}
				continue
			}
			if i == 0 || i+1 == len(label) {
				return addr, false
			}
			i++
			continue
		}
		value, digits := 0, 0
		for ; i < len(label) && label[i] != '-'; i++ {
			d := unhex(label[i])
			if d < 0 || digits == 4 {
				return addr, false
			}
			value, digits = value<<4|d, digits+1
		}
		if n == 8 {
			return addr, false
		}
		group[n], n = uint16(value), n+1
	}
	if gap < 0 && n != 8 || gap >= 0 && n == 8 {
		return addr, false
	}
	for i := range n {
		at := i
		if gap >= 0 && i >= gap {
			at = 8 - n + i
		}
		addr[2*at], addr[2*at+1] = byte(group[i]>>8), byte(group[i])
	}
	return addr, true
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
