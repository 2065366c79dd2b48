package wire

import (
	"encoding/binary"
	"iter"
)

// Options are the EDNS options in b, code and data, as they stand in an OPT record (RFC 6891, section 6.1.2). They end
// where b is malformed.
func Options(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= 4 {
			n := 4 + int(binary.BigEndian.Uint16(b[2:]))
			if n > len(b) || !yield(binary.BigEndian.Uint16(b), b[4:n:n]) {
				return
			}
			b = b[n:]
		}
	}
}

// AppendOption appends an EDNS option to b. Data is at most 65535 bytes.
func AppendOption(b []byte, code uint16, data []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, code)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

// Options are the options of the reply's OPT record, in wire form and not to be changed; foreign tells that somebody else's
// message brought an OPT record, be it one without options.
func (r *Reply) Options() (options []byte, foreign bool) { return r.options, r.foreign }

// SetOptions takes the place of all options that the reply has; options are in wire form, and kept.
func (r *Reply) SetOptions(options []byte) { r.options = options }
