package view

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/nameplane/nameplane/plugin"
)

// functions are what an expression may ask, by CoreDNS's names.
type functions struct {
	InCIDR     func(addr, block string) (bool, error) `expr:"incidr"`
	Metadata   func(label string) string              `expr:"metadata"`
	Type       func() string                          `expr:"type"`
	Name       func() string                          `expr:"name"`
	Class      func() string                          `expr:"class"`
	Proto      func() string                          `expr:"proto"`
	Size       func() int                             `expr:"size"`
	ClientIP   func() string                          `expr:"client_ip"`
	Port       func() string                          `expr:"port"`
	ID         func() int                             `expr:"id"`
	Opcode     func() int                             `expr:"opcode"`
	DO         func() bool                            `expr:"do"`
	BufSize    func() int                             `expr:"bufsize"`
	ServerIP   func() string                          `expr:"server_ip"`
	ServerPort func() string                          `expr:"server_port"`
}

// query is the one that functions tell of. It is pooled, so that the functions are made once and not for each query.
type query struct {
	x         *plugin.Exchange
	collector collector
	metadata  *plugin.Metadata
	functions functions
}

func newQuery() *query {
	q := &query{}
	q.functions = functions{
		InCIDR:     inCIDR,
		Metadata:   q.label,
		Type:       func() string { return q.x.Query.TypeString() },
		Name:       q.name,
		Class:      func() string { return q.x.Query.ClassString() },
		Proto:      func() string { return q.x.Transport.String() },
		Size:       func() int { return q.x.Query.Len() },
		ClientIP:   func() string { return address(q.x.Client) },
		Port:       func() string { return port(q.x.Client) },
		ID:         func() int { return int(q.x.Query.ID()) },
		Opcode:     func() int { return q.x.Query.Opcode() },
		DO:         func() bool { return q.x.Query.EDNS.DO() },
		BufSize:    func() int { return q.x.Limit() },
		ServerIP:   func() string { return address(q.x.Local) },
		ServerPort: func() string { return port(q.x.Local) },
	}
	return q
}

// name is in lower case, as CoreDNS has it.
func (q *query) name() string { return string(q.x.Query.AppendText(nil)) }

// label is metadata; empty where there is none.
func (q *query) label(label string) string {
	if q.metadata == nil && q.collector != nil {
		q.metadata = q.collector.Collect(q.x)
	}
	value, _ := q.metadata.Value(label)
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
