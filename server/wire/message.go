package wire

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// SetMsg makes m the reply to q. m is not kept, and not changed. Its ID does not count: the query's is sent. Of an OPT
// record in m the options are kept; size and flags are the client's (see Finish).
func (r *Reply) SetMsg(q *Query, m *dns.Msg) error {
	if m.Rcode < 0 || m.Rcode > 0xfff {
		return fmt.Errorf("the reply to %s %s has rcode %d, which is not one of 12 bits", q.NameString(), q.TypeString(), m.Rcode)
	}
	flat := *m
	flat.Compress = true
	flat.Question = m.Question[:min(1, len(m.Question))]
	flat.Rcode = m.Rcode & 0xf
	var opt *dns.OPT
	flat.Extra, opt = withoutOPT(m.Extra)
	packet, err := flat.PackBuffer(r.buf[:cap(r.buf)])
	if err != nil {
		return fmt.Errorf("cannot pack the reply to %s %s: %w", q.NameString(), q.TypeString(), err)
	}
	r.Reset()
	r.buf = packet
	binary.BigEndian.PutUint16(r.buf, q.ID())
	r.state, r.rcode = made, m.Rcode
	if opt != nil {
		r.options, r.foreign, r.flags = packOptions(opt), true, uint16(opt.Hdr.Ttl)
	}
	r.bits = binary.BigEndian.Uint16(packet[2:])&^0xf | bitQR
	return r.index()
}

// Edit changes the reply as a message. Options of its OPT record are not in the message, and stay.
func (r *Reply) Edit(q *Query, change func(m *dns.Msg)) error {
	m, err := r.Msg()
	if err != nil {
		return err
	}
	options, foreign, flags := r.options, r.foreign, r.flags
	change(m)
	if err := r.SetMsg(q, m); err != nil {
		return err
	}
	r.options, r.foreign, r.flags = options, foreign, flags
	return nil
}

// withoutOPT is the additional section without OPT records, and the one of them that counts, which is the last.
func withoutOPT(extra []dns.RR) (rest []dns.RR, last *dns.OPT) {
	isOPT := func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeOPT }
	if !slices.ContainsFunc(extra, isOPT) {
		return extra, nil
	}
	for _, rr := range extra {
		if opt, ok := rr.(*dns.OPT); ok {
			last = opt
		} else {
			rest = append(rest, rr)
		}
	}
	return rest, last
}

// index finds body, counts and records in a packet that was packed elsewhere.
func (r *Reply) index() error {
	at := headerSize
	for range binary.BigEndian.Uint16(r.buf[4:]) {
		at = skipName(r.buf, at) + 4
	}
	r.body, r.records = at, r.records[:0]
	for s := range r.counts {
		r.counts[s] = int(binary.BigEndian.Uint16(r.buf[6+2*s:]))
		for range r.counts[s] {
			r.records = append(r.records, uint32(at))
			at = skipName(r.buf, at) + 10
			if at > len(r.buf) {
				return fmt.Errorf("packed reply ends within a record: %d bytes", len(r.buf))
			}
			at += int(binary.BigEndian.Uint16(r.buf[at-2:]))
		}
	}
	if at > len(r.buf) {
		return fmt.Errorf("packed reply ends within a record: %d bytes", len(r.buf))
	}
	return nil
}

// skipName is where the name at a place ends; past the packet's end when it is cut.
func skipName(p []byte, at int) int {
	for at < len(p) {
		switch n := int(p[at]); {
		case n == 0:
			return at + 1
		case n >= 0xc0:
			return at + 2
		default:
			at += 1 + n
		}
	}
	return at
}
