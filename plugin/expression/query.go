package expression

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/expr-lang/expr"

	"github.com/nameplane/nameplane/plugin"
)

// Query is the one that expressions ask about. It is to be pooled, so that the functions are made once and not for each
// query.
type Query struct {
	x        *plugin.Exchange
	metadata func() *plugin.Metadata
	env      map[string]any
}

// NewQuery is a Query that has not begun.
func NewQuery() *Query {
	q := &Query{}
	q.env = map[string]any{
		"incidr":      inCIDR,
		"metadata":    q.label,
		"type":        func() string { return q.x.Query.TypeString() },
		"name":        func() string { return string(q.x.Query.AppendText(nil)) }, // in lower case, as CoreDNS has it
		"class":       func() string { return q.x.Query.ClassString() },
		"proto":       func() string { return q.x.Transport.String() },
		"size":        func() int { return q.x.Query.Len() },
		"client_ip":   func() string { return address(q.x.Client) },
		"port":        func() string { return port(q.x.Client) },
		"id":          func() int { return int(q.x.Query.ID()) },
		"opcode":      func() int { return q.x.Query.Opcode() },
		"do":          func() bool { return q.x.Query.EDNS.DO() },
		"bufsize":     func() int { return q.x.Limit() },
		"server_ip":   func() string { return address(q.x.Local) },
		"server_port": func() string { return port(q.x.Local) },
	}
	return q
}

// Begin makes q about x. The metadata is asked for when an expression does.
func (q *Query) Begin(x *plugin.Exchange, metadata func() *plugin.Metadata) {
	q.x, q.metadata = x, metadata
}

// End forgets the exchange, so that whoever pools q keeps nothing of it.
func (q *Query) End() { q.x, q.metadata = nil, nil }

// Set gives a name of the scope a value; it stays until the next one.
func (q *Query) Set(name string, value any) { q.env[name] = value }

// Run is what an expression comes to; an error is one of the query's values, such as a text that is no address.
func (q *Query) Run(p *Program) (any, error) { return expr.Run(p.compiled, q.env) }

// Holds tells whether a condition is true.
func (q *Query) Holds(p *Program) (bool, error) {
	result, err := q.Run(p)
	yes, ok := result.(bool)
	return err == nil && ok && yes, err
}

// label is metadata; empty where there is none.
func (q *Query) label(label string) string {
	value, _ := q.metadata().Value(label)
	return value
}

func address(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.Addr().String()
}

func port(a netip.AddrPort) string { return strconv.Itoa(int(a.Port())) }

// inCIDR tells whether an address lies in an address block. IPv4 and its mapped form are the same.
func inCIDR(text, block string) (bool, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return false, errors.New("the first argument of incidr is not an IP address: " + text)
	}
	prefix, err := parseBlock(block)
	return err == nil && prefix.Contains(addr.Unmap()), err
}

func parseBlock(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return prefix, fmt.Errorf("incidr: %q is not an address block such as 10.0.0.0/8", text)
	}
	if prefix.Addr().Is4In6() && strings.Contains(text, ":") && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix, nil
}
