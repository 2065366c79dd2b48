package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"github.com/nameplane/nameplane/cluster"
)

// ParseKey reads ADDR:PORT/PROTO, an IPv6 address in brackets: "10.96.0.10:53/udp", "[fd00::10]:443". The protocol is tcp
// when it is left out. It is the inverse of String.
func ParseKey(text string) (Key, error) {
	bad := func(what string) (Key, error) {
		return Key{}, fmt.Errorf("%q: %s; want ADDR:PORT/PROTO, as in 10.96.0.10:53/udp or [fd00::10]:443/tcp", text, what)
	}
	dialled, name, named := strings.Cut(text, "/")
	protocol := cluster.TCP
	if named {
		switch strings.ToLower(name) {
		case "tcp":
		case "udp":
			protocol = cluster.UDP
		case "sctp":
			protocol = cluster.SCTP
		default:
			return bad(fmt.Sprintf("protocol %q is none of tcp, udp, sctp", name))
		}
	}
	at, err := netip.ParseAddrPort(dialled)
	switch {
	case err != nil:
		return bad("no address and port")
	case at.Addr().Zone() != "":
		return bad("an address with a zone is no service's")
	case at.Port() == 0:
		return bad("port 0 cannot be dialled")
	}
	return Key{Addr: at.Addr().Unmap(), Port: at.Port(), Protocol: protocol}, nil
}

// String is the key as a person writes it: 10.96.0.10:53/udp, [fd00::10]:443/tcp.
func (k Key) String() string {
	return netip.AddrPortFrom(k.Addr, k.Port).String() + "/" + k.Protocol.String()
}

// Compare orders keys by address, port and protocol.
func (k Key) Compare(other Key) int {
	return cmp.Or(k.Addr.Compare(other.Addr), cmp.Compare(k.Port, other.Port), cmp.Compare(k.Protocol, other.Protocol))
}

// nodePort is the key of the NodePort that is reached at k, should its address be one of the node's.
func (k Key) nodePort() Key {
	if k.Addr.Is4() {
		k.Addr = netip.IPv4Unspecified()
	} else {
		k.Addr = netip.IPv6Unspecified()
	}
	return k
}
