package nftables

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// key is a frontend's address and port as the view has them.
func (v view) key(k plan.Key) string {
	if v.nodePort {
		return strconv.Itoa(int(k.Port))
	}
	return addrPort(netip.AddrPortFrom(k.Addr, k.Port))
}

// typed is the key with the protocol.
func (v view) typed(k plan.Key) string {
	if v.nodePort {
		return concat(k.Protocol.String(), strconv.Itoa(int(k.Port)))
	}
	return typed(k)
}

func typed(k plan.Key) string {
	return concat(k.Addr.String(), k.Protocol.String(), strconv.Itoa(int(k.Port)))
}

func addrPort(a netip.AddrPort) string {
	b := make([]byte, 0, 56)
	b = a.Addr().AppendTo(b)
	b = append(b, " . "...)
	return string(strconv.AppendUint(b, uint64(a.Port()), 10))
}

// normal joins the parts of what nft printed, and gives each the spelling that we have for it, because versions of nft differ
// in how they write addresses, and one that has no /etc/protocols to read writes a protocol as its number. protocolAt is
// where that is; -1 for nowhere.
func normal(parts []string, protocolAt int) string {
	spelled := make([]string, len(parts))
	for i, part := range parts {
		spelled[i] = part
		if i == protocolAt {
			spelled[i] = protocolName(part)
		} else if strings.Contains(part, ":") || strings.Contains(part, "/") {
			spelled[i] = address(part)
		}
	}
	return concat(spelled...)
}

func protocolName(text string) string {
	switch text {
	case "6":
		return cluster.TCP.String()
	case "17":
		return cluster.UDP.String()
	case "132":
		return cluster.SCTP.String()
	}
	return text
}

func address(text string) string {
	if p, err := netip.ParsePrefix(text); err == nil {
		return prefix(p)
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return a.String()
	}
	return text
}

// prefix is written without its length where it is one address, as nft does.
func prefix(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.Masked().String()
}

// protocolAt is the place of the protocol in the object's keys; -1 when they have none.
func (o object) protocolAt() int {
	key, _, _ := strings.Cut(o.typ, " : ")
	return slices.Index(strings.Split(key, " . "), "inet_proto")
}

// disjoint are the prefixes of a family without those that lie in another: nft refuses intervals that overlap.
func (f family) disjoint(list []netip.Prefix) (kept []netip.Prefix) {
	for _, p := range list {
		p = p.Masked()
		inside := slices.ContainsFunc(list, func(other netip.Prefix) bool { return other.Bits() < p.Bits() && other.Contains(p.Addr()) })
		if f.has(p.Addr()) && !inside && !slices.Contains(kept, p) {
			kept = append(kept, p)
		}
	}
	return kept
}
