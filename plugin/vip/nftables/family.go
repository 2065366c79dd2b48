package nftables

import (
	"net/netip"
	"strings"
)

// family is an address family, with the words that nft has for it.
type family struct {
	name     string
	four     bool
	addrType string
	loopback string // addresses on which no NodePort answers (CVE-2020-8558)
}

func families() [2]family {
	return [2]family{
		{name: "ip", four: true, addrType: "ipv4_addr", loopback: "127.0.0.0/8"},
		{name: "ip6", addrType: "ipv6_addr", loopback: "::1"},
	}
}

// has tells whether an address is of the family.
func (f family) has(a netip.Addr) bool { return a.Is4() == f.four }

// spell fills in the family's words: $ip, $addr and $loopback.
func (f family) spell(text string) string {
	return strings.NewReplacer("$ip", f.name, "$addr", f.addrType, "$loopback", f.loopback).Replace(text)
}
