package hosts

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// longestField bounds what is kept of a field, in bytes: no address and no name is longer, be every byte escaped.
const longestField = 1024

// parser reads entries (hosts(5)) byte by byte, so that its memory does not depend on the length of lines.
type parser struct {
	table   *table
	zones   plugin.Zones
	reverse bool
	report  func(line int, problem string)

	line    int
	comment bool // up to the end of the line
	fields  int  // of the line so far
	field   []byte
	addr    netip.Addr // of the line; the zero value if it has none
	packed  []byte     // addr; shared by names that have no other
}

// parse reads entries of names within zones. Lines that begin with no address, and fields that are no domain name, are
// left out and reported. The error is the reader's; what was read until then is returned with it.
func parse(r io.Reader, zones plugin.Zones, reverse bool, report func(line int, problem string)) (*table, error) {
	p := &parser{table: newTable(), zones: zones, reverse: reverse, report: report, line: 1}
	in := bufio.NewReader(r)
	for {
		c, err := in.ReadByte()
		if err != nil {
			p.endField()
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return p.table, err
		}
		p.take(c)
	}
}

func (p *parser) take(c byte) {
	switch {
	case c == '\n':
		p.endField()
		p.line, p.comment, p.fields, p.addr = p.line+1, false, 0, netip.Addr{}
	case p.comment:
	case c == '#':
		p.endField()
		p.comment = true
	case c == ' ' || c >= '\t' && c <= '\r':
		p.endField()
	case len(p.field) <= longestField:
		p.field = append(p.field, c)
	}
}

// endField takes the field that was read: the line's address, or a name of it.
func (p *parser) endField() {
	if len(p.field) == 0 {
		return
	}
	field := string(p.field)
	tooLong := len(p.field) > longestField
	p.field = p.field[:0]
	p.fields++
	switch {
	case p.fields > 1 && !p.addr.IsValid():
	case tooLong:
		p.report(p.line, fmt.Sprintf("a field of more than %d bytes is left out", longestField))
	case p.fields == 1:
		p.startLine(field)
	default:
		p.name(field)
	}
}

// parseAddress reads an address; the zone of a link-local one does not count, and a mapped one is an IPv4 address.
func parseAddress(text string) (netip.Addr, bool) {
	text, _, _ = strings.Cut(text, "%")
	addr, err := netip.ParseAddr(text)
	return addr.Unmap(), err == nil
}

func (p *parser) startLine(field string) {
	addr, ok := parseAddress(field)
	if !ok {
		p.report(p.line, fmt.Sprintf("%q is not an address; the line is left out", field))
		return
	}
	p.addr = addr
	if packed := addr.AsSlice(); string(packed) != string(p.packed) {
		p.packed = packed
	}
}

func (p *parser) name(field string) {
	name, err := wire.ParseName(field)
	if err != nil {
		p.report(p.line, err.Error())
		return
	}
	if !p.within(name) {
		return
	}
	const star = "\x01*"
	wildcard := strings.HasPrefix(string(name), star)
	p.table.size++
	if wildcard && name.Labels() == 1 {
		return // it stands for names of one label, of which none has a parent that could hold it
	}
	e := p.table.names[string(name)]
	if p.addr.Is4() {
		e.v4 = add(e.v4, p.packed)
	} else {
		e.v6 = add(e.v6, p.packed)
	}
	p.table.names[string(name)] = e
	if p.reverse && !wildcard {
		p.table.size++
		key := p.addr.As16()
		p.table.reverse[key] = append(p.table.reverse[key], name...)
	}
}

func (p *parser) within(name wire.Name) bool {
	for _, zone := range p.zones {
		if zone.Contains(name) {
			return true
		}
	}
	return false
}

// add is addresses and one more. The first one is shared with other names, so that it is never written behind.
func add(addresses, one []byte) []byte {
	if addresses == nil {
		return one[:len(one):len(one)]
	}
	return append(addresses, one...)
}
