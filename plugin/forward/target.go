package forward

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/nameplane/nameplane/server/wire"
)

const (
	dnsPort = 53
	tlsPort = 853 // RFC 7858, section 3.1
)

// target is one TO of a line: an address, a host that is looked up, or a file of addresses.
type target struct {
	text   string // as it was written
	tls    bool
	server string // for the certificate: tls://ADDRESS%SERVER
	port   uint16
	addr   netip.Addr // valid for an address
	host   string     // or the name of a host; empty for a file
}

// schemes that CoreDNS's forward knows and this one does not.
var unbuilt = [...]string{"https", "quic", "grpc"}

// parseTarget reads one TO. What is neither an address nor a URL may be a file, and is one if isFile says so.
func parseTarget(text string, isFile func(path string) bool) (target, error) {
	t := target{text: text, port: dnsPort}
	scheme, rest, isURL := strings.Cut(text, "://")
	switch {
	case !isURL:
		rest = text
	case scheme == "dns":
	case scheme == "tls":
		t.tls, t.port = true, tlsPort
		rest, t.server = splitServer(rest)
	case slices.Contains(unbuilt[:], scheme):
		return t, fmt.Errorf("%q: upstreams by %s:// are not built; write tls://IP[%%NAME][:PORT] for one that encrypts", text, scheme)
	default:
		return t, fmt.Errorf("%q: %s:// is not a transport of upstreams; write dns://IP[:PORT] or tls://IP[%%NAME][:PORT]", text, scheme)
	}
	if addr, port, ok := parseAddress(rest, t.port); ok {
		t.addr, t.port = addr, port
		return t, nil
	}
	if !isURL && isFile(rest) {
		return t, nil
	}
	var ok bool
	if t.host, t.port, ok = parseHost(rest, t.port); !ok {
		return t, fmt.Errorf("%q is neither an IP address nor a file nor a host name; write IP[:PORT] or the path of a resolv.conf", text)
	}
	return t, nil
}

// splitServer takes the name of the certificate out of an address: "192.0.2.1%dns.example:853", "[2001:db8::1%dns.example]:853".
func splitServer(text string) (address, server string) {
	address, server, found := cutLast(text, "%")
	if !found {
		return text, ""
	}
	server, port, hasPort := cutLast(server, ":")
	server = strings.TrimSuffix(server, "]")
	if strings.HasPrefix(address, "[") {
		address += "]"
	}
	if hasPort {
		if strings.Count(address, ":") > 1 && !strings.HasPrefix(address, "[") {
			address = "[" + address + "]"
		}
		address += ":" + port
	}
	return address, server
}

func cutLast(text, separator string) (before, after string, found bool) {
	if i := strings.LastIndex(text, separator); i >= 0 {
		return text[:i], text[i+len(separator):], true
	}
	return text, "", false
}

// parseAddress reads IP, IP:PORT, [IP] or [IP]:PORT; IPv6 addresses may have a zone.
func parseAddress(text string, port uint16) (netip.Addr, uint16, bool) {
	if addr, err := netip.ParseAddrPort(text); err == nil {
		return addr.Addr().Unmap(), addr.Port(), addr.Port() != 0
	}
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		text = text[1 : len(text)-1]
	}
	addr, err := netip.ParseAddr(text)
	return addr.Unmap(), port, err == nil
}

// parseHost reads NAME or NAME:PORT.
func parseHost(text string, port uint16) (host string, _ uint16, ok bool) {
	host, number, hasPort := cutLast(text, ":")
	if hasPort {
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil || n == 0 {
			return "", 0, false
		}
		port = uint16(n)
	}
	if host == "" || host == "." || strings.ContainsAny(host, "/: \\") {
		return "", 0, false
	}
	if _, err := wire.ParseName(host); err != nil {
		return "", 0, false
	}
	if last := strings.TrimSuffix(host, "."); last[len(last)-1] >= '0' && last[len(last)-1] <= '9' {
		return "", 0, false // an address with a mistake: no top-level domain ends in a digit
	}
	return host, port, true
}

// endpoint is where the target is, or is at one of its addresses.
func (t *target) endpoint(addr netip.Addr) endpoint {
	return endpoint{addr: netip.AddrPortFrom(addr.Unmap(), t.port), tls: t.tls, server: strings.ToLower(t.server)}
}
