package wire

import (
	"encoding/binary"
	"slices"

	"github.com/miekg/dns"
)

// SetQuestion puts another question in the place of the one that came in, for everybody behind the caller: name is in
// wire form, in whatever spelling. Header, EDNS and other records stay. The packet that came in is not changed, so that a
// copy of q made before is the client's query still, and may be put back.
func (q *Query) SetQuestion(name []byte, qtype, class uint16) error {
	if q.msg != nil {
		return q.change(func(m *dns.Msg) {
			m.Question = []dns.Question{{Name: spell(name), Qtype: qtype, Qclass: class}}
		})
	}
	packet := make([]byte, 0, len(q.packet)+MaxName)
	packet = append(append(packet, q.packet[:headerSize]...), name...)
	packet = binary.BigEndian.AppendUint16(packet, qtype)
	packet = binary.BigEndian.AppendUint16(packet, class)
	return q.Parse(append(packet, q.packet[len(q.head):]...))
}

// SetEDNS gives the query an OPT record that says e (RFC 6891, section 6.1), or none. As with SetQuestion, the packet that
// came in is not changed.
func (q *Query) SetEDNS(e EDNS) error {
	if q.msg != nil {
		return q.change(func(m *dns.Msg) {
			m.Extra, _ = withoutOPT(m.Extra)
			if e.Present {
				m.Extra = append(slices.Clip(m.Extra), e.record())
			}
		})
	}
	packet := make([]byte, len(q.head), len(q.head)+optSize+len(e.Options))
	copy(packet, q.head)
	binary.BigEndian.PutUint16(packet[10:], 0)
	if e.Present {
		binary.BigEndian.PutUint16(packet[10:], 1)
		packet = append(packet, 0, 0, byte(dns.TypeOPT), byte(e.Size>>8), byte(e.Size),
			0, e.Version, byte(e.Flags>>8), byte(e.Flags), byte(len(e.Options)>>8), byte(len(e.Options)))
		packet = append(packet, e.Options...)
	}
	return q.Parse(packet)
}

// record is e as miekg/dns has it; options go as bytes, whatever they are.
func (e *EDNS) record() *dns.OPT {
	opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT, Class: e.Size, Ttl: uint32(e.Version)<<16 | uint32(e.Flags)}}
	for code, data := range Options(e.Options) {
		opt.Option = append(opt.Option, &dns.EDNS0_LOCAL{Code: code, Data: data})
	}
	return opt
}

// change makes q a view of what its message is changed to.
func (q *Query) change(change func(m *dns.Msg)) error {
	m, err := q.Msg()
	if err != nil {
		return err
	}
	change(m)
	packet, err := m.Pack()
	if err != nil {
		return err
	}
	return q.Parse(packet)
}

// AppendText appends the name in lower case as a person writes it, with the final dot, to text.
func (q *Query) AppendText(text []byte) []byte {
	if q.labelNum == 0 {
		return append(text, '.')
	}
	for i := range q.labelNum {
		for _, c := range q.Label(i) {
			text = appendEscaped(text, c)
		}
		text = append(text, '.')
	}
	return text
}

// appendEscaped writes a byte of a label as in a master file (RFC 1035, section 5.1).
func appendEscaped(text []byte, c byte) []byte {
	switch {
	case c >= 'a' && c <= 'z': // nearly all
	case c == '.' || c == ' ' || c == '\'' || c == '@' || c == ';' || c == '(' || c == ')' || c == '"' || c == '\\':
		return append(text, '\\', c)
	case c < ' ' || c > '~':
		return append(text, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
	}
	return append(text, c)
}

// Restore puts q's question back into a reply to another one of the same name: one whose type or class was changed. It is
// false, and nothing has changed, where the names differ in more than their spelling.
func (r *Reply) Restore(q *Query) bool {
	end := headerSize + q.nameLen
	if r.body != len(q.head) || !r.SameName(QuestionName, q.head[headerSize:end]) {
		return false
	}
	copy(r.buf[headerSize:], q.head[headerSize:])
	return true
}

// SetRecordTTL gives record i, counted over all sections in their order, a TTL in seconds.
func (r *Reply) SetRecordTTL(i int, ttl uint32) {
	binary.BigEndian.PutUint32(r.buf[r.fixed(int(r.records[i]))+4:], ttl)
}
