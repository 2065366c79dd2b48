package wire

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// Name is an absolute domain name in wire form (RFC 1035, section 3.1): labels, each behind its length, and the root's
// zero. It is in lower case, so that two names are the same when the strings are.
type Name string

// Root is the name of the root zone.
const Root Name = "\x00"

// MaxName is the length of the longest name in wire form (RFC 1035, section 2.3.4).
const MaxName = 255

// ParseName reads a name as a person writes it; it is absolute with or without the final dot.
func ParseName(s string) (Name, error) {
	if s == "" {
		return "", fmt.Errorf("empty domain name")
	}
	var buf [MaxName + 1]byte
	n, err := dns.PackDomainName(dns.Fqdn(s), buf[:], 0, nil, false)
	if err != nil || n > MaxName {
		return "", fmt.Errorf("%q is not a domain name: labels of 1 to 63 bytes, 255 in all, are wanted", s)
	}
	lower(buf[:n], buf[:n])
	return Name(buf[:n]), nil
}

// String is the name as a person writes it, with the final dot.
func (n Name) String() string { return spell([]byte(n)) }

// Labels is the number of labels, the root's not counted.
func (n Name) Labels() int {
	count := 0
	for at := 0; at < len(n) && n[at] != 0; at += 1 + int(n[at]) {
		count++
	}
	return count
}

// Contains tells whether name is n or below it (RFC 8499: in bailiwick).
func (n Name) Contains(name Name) bool {
	if !strings.HasSuffix(string(name), string(n)) {
		return false
	}
	for at := 0; at <= len(name)-len(n); at += 1 + int(name[at]) {
		if at == len(name)-len(n) {
			return true
		}
	}
	return false
}

// Join is n below zone; n's own root is dropped.
func (n Name) Join(zone Name) Name { return n[:len(n)-1] + zone }

// spell is a name in wire form as a person writes it; a name that is cut ends in "?".
func spell(name []byte) string {
	s, _, err := dns.UnpackDomainName(name, 0)
	if err != nil {
		return "?"
	}
	return s
}

// lower copies src to dst in lower case. Length bytes are below 'A', so a whole name may go through.
func lower(dst, src []byte) {
	for len(src) >= 8 {
		binary.LittleEndian.PutUint64(dst, lower8(binary.LittleEndian.Uint64(src)))
		dst, src = dst[8:], src[8:]
	}
	for i, c := range src {
		if c-'A' < 26 {
			c += 'a' - 'A'
		}
		dst[i] = c
	}
}

// lower8 does it to eight bytes at once. Without its highest bit no byte carries into the next when a constant is added
// that lifts 'A', or what follows 'Z', to 0x80.
func lower8(v uint64) uint64 {
	const each, high = 0x0101010101010101, 0x8080808080808080
	low := v &^ high
	fromA, beyondZ := low+(0x80-'A')*each, low+(0x80-'Z'-1)*each
	upper := (fromA ^ beyondZ) & ^v & high
	return v | upper>>2
}
