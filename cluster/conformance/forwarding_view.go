package conformance

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nameplane/nameplane/cluster"
)

// forwarding is the line of what virtual IPs need of a service.
func forwarding(svc *cluster.Service) []string {
	f := svc.Forwarding
	if f == nil {
		return nil
	}
	from := words("from", f.SourceRanges...)
	if f.SourceRanges != nil && len(f.SourceRanges) == 0 {
		from = []string{"from", "nobody"}
	}
	return []string{line("forwarding", svc.Name(), fact("proxy", f.ProxyName), words("balancer", f.Balancers...),
		words("external", f.ExternalIPs...), from, words("node-ports", f.NodePorts...), fact("health", f.HealthPort),
		fact("affinity", f.Affinity), flag("internal-local", f.InternalLocal), flag("external-local", f.ExternalLocal))}
}

func backends(svc *cluster.Service) (lines []string) {
	for i := range svc.Backends.Len() {
		b := svc.Backends.At(i)
		lines = append(lines, line("backend", svc.Name()+" "+b.Addr.String(), fact("node", b.Node), fact("zone", b.Zone),
			words("for-nodes", b.ForNodes...), words("for-zones", b.ForZones...), flag("unready", !b.Ready),
			flag("unserving", !b.Serving), flag("terminating", b.Terminating), ports(b.Ports)))
	}
	return lines
}

func node(n *cluster.Node) []string {
	if n == nil {
		return nil
	}
	return []string{line("node", n.Name, fact("zone", n.Zone), words("at", n.Addrs...), flag("leaving", n.Leaving))}
}

func line(kind, name string, parts ...[]string) string {
	return strings.Join(append([]string{kind, name}, slices.Concat(parts...)...), " ")
}

// fact is left out where its value is the usual one.
func fact[T comparable](name string, value T) []string {
	if value == *new(T) {
		return nil
	}
	return []string{name, fmt.Sprint(value)}
}

func flag(name string, set bool) []string {
	if !set {
		return nil
	}
	return []string{name}
}

func words[T any](name string, values ...T) []string {
	if len(values) == 0 {
		return nil
	}
	out := []string{name}
	for _, v := range values {
		out = append(out, fmt.Sprint(v))
	}
	return out
}
