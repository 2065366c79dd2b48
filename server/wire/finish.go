package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/miekg/dns"
)

const optSize = 11

// Finish completes the reply for the client: q's ID, flags and counts are written, an OPT record is added when the query had
// one (RFC 6891, section 6.1.1), and records that do not fit into limit bytes are left out from the end, with TC set
// (RFC 2181, section 9). The packet is valid until the next Reset.
func (r *Reply) Finish(q *Query, limit int) []byte {
	opt := 0
	if q.EDNS.Present {
		opt = optSize + len(r.options)
	}
	limit = max(limit, dns.MinMsgSize)
	if r.body+opt > limit { // even without a record: options are worth less than a reply that arrives
		r.options, opt = nil, optSize
	}
	if len(r.buf)+opt > limit {
		r.truncate(limit - opt)
	}
	counts := r.counts
	if q.EDNS.Present {
		r.opt(&q.EDNS)
		counts[Additional]++
	}
	h := r.buf
	binary.BigEndian.PutUint16(h, q.ID())
	rcode := r.rcode
	if rcode > 0xf && !q.EDNS.Present { // its upper bits have no place (RFC 6891, section 6.1.3); the lower ones say something else
		rcode = dns.RcodeServerFailure
	}
	binary.BigEndian.PutUint16(h[2:], r.bits|uint16(rcode&0xf))
	questions := uint16(0)
	if r.body > headerSize {
		questions = 1
	}
	binary.BigEndian.PutUint16(h[4:], questions)
	for s, n := range counts {
		binary.BigEndian.PutUint16(h[6+2*s:], uint16(n))
	}
	return r.buf
}

// truncate keeps as many whole records as fit.
func (r *Reply) truncate(limit int) {
	keep := len(r.records)
	end := len(r.buf)
	for keep > 0 && end > limit {
		keep--
		end = int(r.records[keep])
	}
	r.buf, r.records = r.buf[:end], r.records[:keep]
	left := keep
	for s := range r.counts {
		r.counts[s] = min(left, r.counts[s])
		left -= r.counts[s]
	}
	r.bits |= bitTC
}

// opt appends the OPT record: the client's size and flags, version 0, and options that the reply brought itself. As in
// CoreDNS, the reserved flags are those of the server that was asked, where it is one that knows EDNS.
func (r *Reply) opt(e *EDNS) {
	const do = 1 << 15
	flags := e.Flags & 0xff00
	if r.foreign {
		flags = r.flags&0xff00&^do | e.Flags&do
	}
	r.buf = append(r.buf, 0, 0, byte(dns.TypeOPT), byte(e.Size>>8), byte(e.Size),
		byte(r.rcode>>4), 0, byte(flags>>8), 0,
		byte(len(r.options)>>8), byte(len(r.options)))
	r.buf = append(r.buf, r.options...)
}

// BadVersion makes the reply to a query of an EDNS version that is not 0 (RFC 6891, section 6.1.3).
func (r *Reply) BadVersion(q *Query) {
	r.Start(q, dns.RcodeBadVers)
	q.EDNS.Size, q.EDNS.Flags = 0, 0
}

// AddOption adds an EDNS option to the reply, which a client without EDNS does not get to see.
func (r *Reply) AddOption(code uint16, data []byte) {
	r.options = append(r.options[:len(r.options):len(r.options)],
		byte(code>>8), byte(code), byte(len(data)>>8), byte(len(data)))
	r.options = append(r.options, data...)
}

// Msg is the reply as a message of its own, without an OPT record.
func (r *Reply) Msg() (*dns.Msg, error) {
	if len(r.records) > 0xffff {
		return nil, fmt.Errorf("a reply of %d records does not fit into a message", len(r.records))
	}
	packet := append([]byte(nil), r.buf...)
	binary.BigEndian.PutUint16(packet[2:], r.bits|uint16(r.rcode&0xf))
	questions := uint16(0)
	if r.body > headerSize {
		questions = 1
	}
	binary.BigEndian.PutUint16(packet[4:], questions)
	for s, n := range r.counts {
		binary.BigEndian.PutUint16(packet[6+2*s:], uint16(n))
	}
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		return nil, err
	}
	m.Rcode = r.rcode
	return m, nil
}
