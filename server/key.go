package server

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

// key is one zone on one port that a server block serves.
type key struct {
	zone wire.Name
	port uint16
	tls  bool // by TLS (RFC 7858), not by UDP and TCP
	at   corefile.Position
}

// unbuilt are CoreDNS's transports that are not served, with what does their work meanwhile.
var unbuilt = []struct{ scheme, instead string }{
	{"https", "tls://, or an HTTP proxy that speaks DNS over HTTPS in front of a dns:// port"},
	{"https3", "tls://, or an HTTP proxy that speaks DNS over HTTPS in front of a dns:// port"},
	{"quic", "tls://, or a DNS over QUIC proxy in front of a dns:// port"},
	{"grpc", "a dns:// port"},
	{"unix", "a dns:// port"},
}

// tlsPort is that of keys with tls:// and without a port (RFC 7858, section 3.1), whatever the default of others is.
const tlsPort = 853

// parseKey reads "[dns://|tls://]ZONE[:PORT]". A network in CIDR notation stands for its reverse zones.
func parseKey(k corefile.Key, defaultPort uint16) ([]key, error) {
	problem := func(format string, args ...any) error {
		return &corefile.Error{Pos: k.Pos, Problem: fmt.Sprintf("key %q: %s", k.Text, fmt.Sprintf(format, args...))}
	}
	text, tls, err := withoutScheme(k.Text)
	if err != nil {
		return nil, problem("%v", err)
	}
	if tls {
		defaultPort = tlsPort
	}
	text, port, err := splitPort(text, defaultPort)
	if err != nil {
		return nil, problem("%v", err)
	}
	zones, err := wire.ParseZones(text)
	if err != nil {
		return nil, problem("%v", err)
	}
	keys := make([]key, len(zones))
	for i, zone := range zones {
		keys[i] = key{zone: zone, port: port, tls: tls, at: k.Pos}
	}
	return keys, nil
}

func withoutScheme(text string) (rest string, tls bool, err error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		return text, false, nil
	}
	if scheme == "dns" || scheme == "tls" {
		return rest, scheme == "tls", nil
	}
	known := []string{"dns", "tls"}
	for _, u := range unbuilt {
		if u.scheme == scheme {
			return "", false, fmt.Errorf("the transport %s:// is not built yet; use %s", scheme, u.instead)
		}
		known = append(known, u.scheme)
	}
	if near := corefile.Nearest(scheme, known); near != "" {
		return "", false, fmt.Errorf("unknown transport %q; did you mean %q?", scheme, near)
	}
	return "", false, fmt.Errorf("unknown transport %q; only dns:// and tls:// are served", scheme)
}

// splitPort cuts a port from the end. A colon that no number follows belongs to the zone: an IPv6 network has a mask
// behind its colons.
func splitPort(text string, defaultPort uint16) (string, uint16, error) {
	colon := strings.LastIndexByte(text, ':')
	if colon < 0 {
		return text, defaultPort, nil
	}
	if colon == len(text)-1 {
		return "", 0, fmt.Errorf("a port is missing behind the last colon")
	}
	port, err := strconv.Atoi(text[colon+1:])
	if err != nil {
		return text, defaultPort, nil
	}
	if port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("port %d is not from 1 to 65535 (for any free port use -dns.port 0)", port)
	}
	return text[:colon], uint16(port), nil
}
