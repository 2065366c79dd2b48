package wire

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// ParseZones reads a zone as a Corefile writes it: a domain name, or an address block (10.96.0.0/12, fd00::/8), which
// stands for the reverse zones that cover it: one, or several where the block does not end on a label (RFC 1035,
// section 3.5; RFC 3596, section 2.5; RFC 2317 names are not made up).
func ParseZones(s string) ([]Name, error) {
	if !strings.Contains(s, "/") {
		name, err := ParseName(s)
		if err != nil {
			return nil, err
		}
		return []Name{name}, nil
	}
	block, err := netip.ParsePrefix(s)
	if err != nil || block.Addr().Is4In6() {
		return nil, fmt.Errorf("%q is neither a domain name nor an address block such as 10.96.0.0/12", s)
	}
	return reverseZones(block.Masked()), nil
}

func reverseZones(block netip.Prefix) []Name {
	step := 8
	if block.Addr().Is6() {
		step = 4
	}
	bits := (block.Bits() + step - 1) / step * step // the next label's end
	var zones []Name
	for addr := block.Addr(); block.Contains(addr); {
		zones = append(zones, reverseZone(addr, bits/step, step))
		next, ok := add(addr, bits)
		if !ok {
			break
		}
		addr = next
	}
	return zones
}

// reverseZone is the zone of the first labels of addr, each of step bits.
func reverseZone(addr netip.Addr, labels, step int) Name {
	text, _ := dns.ReverseAddr(addr.String()) // cannot fail: netip wrote the text
	for range addr.BitLen()/step - labels {
		_, text, _ = strings.Cut(text, ".")
	}
	name, _ := ParseName(text)
	return name
}

// add is the first address of the next block of the same size; false past the last one.
func add(addr netip.Addr, bits int) (netip.Addr, bool) {
	if bits == 0 {
		return addr, false
	}
	b := addr.AsSlice()
	at := (bits - 1) / 8
	carry := uint(1) << (7 - (bits-1)%8)
	for i := at; i >= 0; i-- {
		carry += uint(b[i])
		b[i] = byte(carry)
		carry >>= 8
	}
	next, _ := netip.AddrFromSlice(b)
	return next, carry == 0
}

// Reverse is the address that a reverse name asks for, as 16 bytes (IPv4 mapped); ok is false for a name that is not
// the reverse of a whole address. Up to three labels too many on the left of an IPv6 name are overlooked, as CoreDNS
// does.
func (q *Query) Reverse() (addr [16]byte, ok bool) {
	if left, v4 := q.Within(inAddrArpa); v4 {
		return q.reverse4(left)
	}
	if left, v6 := q.Within(ip6Arpa); v6 {
		return q.reverse6(left)
	}
	return addr, false
}

// IsReverse tells whether the name lies below in-addr.arpa or ip6.arpa.
func (q *Query) IsReverse() bool {
	left, ok := q.Within(inAddrArpa)
	if !ok {
		left, ok = q.Within(ip6Arpa)
	}
	return ok && left > 0
}

// IsReverse tells whether n lies in one of the reverse trees.
func (n Name) IsReverse() bool {
	return n != inAddrArpa && inAddrArpa.Contains(n) || n != ip6Arpa && ip6Arpa.Contains(n)
}

const (
	inAddrArpa Name = "\x07in-addr\x04arpa\x00"
	ip6Arpa    Name = "\x03ip6\x04arpa\x00"
)

func (q *Query) reverse4(left int) (addr [16]byte, ok bool) {
	if left != 4 {
		return addr, false
	}
	addr[10], addr[11] = 0xff, 0xff
	for i := range 4 {
		octet := 0
		digits := q.Label(i)
		if len(digits) > 3 || len(digits) > 1 && digits[0] == '0' {
			return addr, false
		}
		for _, c := range digits {
			if c < '0' || c > '9' {
				return addr, false
			}
			octet = octet*10 + int(c-'0')
		}
		if octet > 255 {
			return addr, false
		}
		addr[15-i] = byte(octet)
	}
	return addr, true
}

func (q *Query) reverse6(left int) (addr [16]byte, ok bool) {
	if left < 32 || left > 35 {
		return addr, false
	}
	for i := range 32 {
		digit := q.Label(left - 1 - i)
		if len(digit) != 1 {
			return addr, false
		}
		c := digit[0]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		default:
			return addr, false
		}
		addr[i/2] |= c << (4 * (1 - i%2))
	}
	return addr, true
}

// NewQuery is a packet that asks for name and type in class IN: for questions of our own.
func NewQuery(id uint16, name Name, qtype uint16) []byte {
	b := make([]byte, headerSize, headerSize+len(name)+4)
	binary.BigEndian.PutUint16(b, id)
	binary.BigEndian.PutUint16(b[4:], 1)
	b = append(b, name...)
	return append(b, byte(qtype>>8), byte(qtype), 0, dns.ClassINET)
}
