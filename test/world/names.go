package world

import (
	"fmt"
	"strings"
)

var (
	words = []string{
		"web", "api", "db", "cache", "mail", "auth", "queue", "search", "billing", "cart", "metrics", "gateway", "search-index",
		"users", "orders", "front-end", "back-end", "nats", "kafka", "redis", "etcd", "vault", "loki", "zoo", "worker",
	}
	tiers     = []string{"front", "middle", "back"}
	portNames = []string{"http", "https", "grpc", "dns", "dns-tcp", "metrics", "p", "x-1", "amqp", "tls-443", "peer"}
)

// fresh draws names until one has not been used in scope.
func (g *generator) fresh(scope string, draw func() string) string {
	for {
		name := draw()
		if key := scope + "/" + name; !g.used[key] {
			g.used[key] = true
			return name
		}
	}
}

// namespaceNames mixes the ordinary with labels that a server could take for something else.
func (g *generator) namespaceNames() []string {
	names := []string{
		"default", "kube-system", "test-1", "svc", "pod", "a", "10", "10-244-0-1", "x--y", "dns-version", "local",
		g.longLabel("n"),
	}
	for range g.between(1, 3) {
		names = append(names, "team-"+pick(g.rand, words)+fmt.Sprint(g.rand.IntN(1000)))
	}
	return names
}

// serviceName draws a label as RFC 1123 has it: since Kubernetes 1.36 services may begin with a digit.
func (g *generator) serviceName() string {
	switch n := g.rand.IntN(100); {
	case n < 55:
		return pick(g.rand, words) + g.suffix()
	case n < 65:
		return fmt.Sprintf("%s-%d-%d-%d-%d", pick(g.rand, []string{"x", "ip", "fd00"}), g.rand.IntN(256), g.rand.IntN(256), g.rand.IntN(256), g.rand.IntN(256))
	case n < 72:
		return g.longLabel("s")
	case n < 76:
		return pick(g.rand, []string{"1", "8-ball", "10-244-0-1", "0x20", "443"})
	case n < 80:
		return string(rune('a' + g.rand.IntN(26)))
	case n < 90:
		return pick(g.rand, []string{"svc", "pod", "dns", "dns-version", "cluster", "local", "tcp", "udp", "http", "any", "ns", "zone", "pin", "prefer", "arpa", "in-addr"})
	default:
		return pick(g.rand, words) + "--" + pick(g.rand, words)
	}
}

// podName draws a subdomain: pods may have dots and be longer than a label, and neither fits into one.
func (g *generator) podName() string {
	base := fmt.Sprintf("%s-%d", pick(g.rand, words), g.rand.IntN(100))
	switch n := g.rand.IntN(100); {
	case n < 70:
		return base
	case n < 80:
		return fmt.Sprintf("%d.%s", g.rand.IntN(10), base)
	case n < 90:
		return g.longLabel("p")
	default:
		return g.longLabel("p") + "-and-longer"
	}
}

func (g *generator) hostname() string {
	if g.chance(6) {
		return g.longLabel("h")
	}
	if g.chance(10) {
		return fmt.Sprintf("10-244-0-%d", g.rand.IntN(256)) // what an endpoint without hostname would be called
	}
	return fmt.Sprintf("%s-%d", pick(g.rand, []string{"host", "node", "0", "web"}), g.rand.IntN(5))
}

func (g *generator) suffix() string {
	if g.chance(50) {
		return ""
	}
	return fmt.Sprintf("-%d", g.rand.IntN(100))
}

// longLabel is a label of 63 letters, the longest that RFC 1035 section 2.3.4 allows.
func (g *generator) longLabel(first string) string {
	const length = 63
	var b strings.Builder
	b.WriteString(first)
	for b.Len() < length-1 {
		b.WriteString(pick(g.rand, []string{"a", "b", "c", "4", "5", "-"}))
	}
	b.WriteString("z")
	return b.String()
}
