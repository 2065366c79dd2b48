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
	at   corefile.Position
}

// unbuilt are CoreDNS's transports that are not served, with what does their work meanwhile.
var unbuilt = []struct{ scheme, instead string }{
	{"tls", "a TLS proxy in front of a dns:// port"},
	{"https", "an HTTP proxy that speaks DNS over HTTPS in front of a dns:// port"},
	{"https3", "an HTTP proxy that speaks DNS over HTTPS in front of a dns:// port"},
	{"quic", "a DNS over QUIC proxy in front of a dns:// port"},
	{"grpc", "a dns:// port"},
	{"unix", "a dns:// port"},
}

// parseKey reads "[dns://]ZONE[:PORT]". A network in CIDR notation stands for its reverse zones.
func parseKey(k corefile.Key, defaultPort uint16) ([]key, error) {
	problem := func(format string, args ...any) error {
		return &corefile.Error{Pos: k.Pos, Problem: fmt.Sprintf("key %q: %s", k.Text, fmt.Sprintf(format, args...))}
	}
	text, err := withoutScheme(k.Text)
	if err != nil {
		return nil, problem("%v", err)
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
		keys[i] = key{zone: zone, port: port, at: k.Pos}
	}
	return keys, nil
}

func withoutScheme(text string) (string, error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		return text, nil
	}
	if scheme == "dns" {
		return rest, nil
	}
	known := []string{"dns"}
	for _, u := range unbuilt {
		if u.scheme == scheme {
			return "", fmt.Errorf("the transport %s:// is not built yet; use %s", scheme, u.instead)
		}
		known = append(known, u.scheme)
	}
	if near := corefile.Nearest(scheme, known); near != "" {
		return "", fmt.Errorf("unknown transport %q; did you mean %q?", scheme, near)
	}
	return "", fmt.Errorf("unknown transport %q; only dns:// is served", scheme)
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
