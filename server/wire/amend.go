package wire

import "encoding/binary"

// Flag is a set of header flags (RFC 1035, section 4.1.1), for directives that set or clear them whatever they stand for.
type Flag uint16

// The flags that may be set and cleared.
const (
	AA Flag = bitAA
	RD Flag = bitRD
	RA Flag = bitRA
)

// SetFlags clears some flags of the query and then sets others, in its packet too: who is asked in turn sees them.
func (q *Query) SetFlags(set, clear Flag) {
	bits := q.bits()&^uint16(clear) | uint16(set)
	binary.BigEndian.PutUint16(q.packet[2:], bits)
	if q.msg != nil {
		q.msg.Authoritative, q.msg.RecursionDesired, q.msg.RecursionAvailable = bits&bitAA != 0, bits&bitRD != 0, bits&bitRA != 0
	}
}

// SetFlags clears some flags of the reply and then sets others.
func (r *Reply) SetFlags(set, clear Flag) { r.bits = r.bits&^uint16(clear) | uint16(set) }

// SetSize changes the UDP payload size of the query's OPT record, in its packet too; it does nothing to a query without
// one.
func (q *Query) SetSize(size uint16) {
	if !q.EDNS.Present {
		return
	}
	q.EDNS.Size = size
	if q.msg == nil {
		binary.BigEndian.PutUint16(q.packet[len(q.head)+3:], size)
		return
	}
	q.msg.IsEdns0().SetUDPSize(size)
	if packet, err := q.msg.Pack(); err == nil {
		q.packet = packet
	}
}

// Option is the data of the first option with this code (RFC 6891, section 6.1.2).
func (e *EDNS) Option(code uint16) (data []byte, ok bool) {
	rest := e.Options
	for len(rest) >= 4 {
		end := 4 + int(binary.BigEndian.Uint16(rest[2:]))
		if end > len(rest) {
			return nil, false
		}
		if binary.BigEndian.Uint16(rest) == code {
			return rest[4:end], true
		}
		rest = rest[end:]
	}
	return nil, false
}

// SetOption is AddOption, in the place of options with the same code.
func (r *Reply) SetOption(code uint16, data []byte) {
	var others []byte
	for rest := r.options; len(rest) >= 4; {
		end := min(4+int(binary.BigEndian.Uint16(rest[2:])), len(rest))
		if binary.BigEndian.Uint16(rest) != code {
			others = append(others, rest[:end]...)
		}
		rest = rest[end:]
	}
	r.options = others
	r.AddOption(code, data)
}

// OnlyAnswers drops the authority and additional sections, and with the latter the options of an OPT record. Nothing in
// the answers points into what is behind them (RFC 1035, section 4.1.4).
func (r *Reply) OnlyAnswers() {
	if keep := r.counts[Answer]; keep < len(r.records) {
		r.buf, r.records = r.buf[:r.records[keep]], r.records[:keep]
	}
	r.counts[Authority], r.counts[Additional], r.options, r.targets.n = 0, 0, nil, 0
	r.section = Answer
}
