package wire

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// Section is a section of a reply that holds records.
type Section uint8

// The sections, in their order in a message.
const (
	Answer Section = iota
	Authority
	Additional
)

// Ref is the place of a name in a reply: an offset from the beginning of the message.
type Ref int

// QuestionName is the place of the question's name.
const QuestionName Ref = headerSize

// ZoneRef is the place in the question's name where zone begins, which must be a suffix of it.
func (q *Query) ZoneRef(zone Name) Ref { return Ref(headerSize + q.nameLen - len(zone)) }

// LabelRef is the place of the question's label i.
func (q *Query) LabelRef(i int) Ref { return Ref(headerSize + int(q.labels[i])) }

// state of a Reply.
type state uint8

const (
	unmade state = iota
	made
	dropped
)

// Reply is the reply under construction: a buffer that records are appended to, section by section.
type Reply struct {
	buf     []byte
	body    int      // where the first record begins
	counts  [3]int   // by section; more than a header can say before Finish cuts them
	records []uint32 // where each record begins
	section Section
	state   state
	bits    uint16 // flags, without the rcode
	rcode   int
	options []byte // of the OPT record, wire form
	foreign bool   // an OPT record came with somebody else's message, which flags is of
	flags   uint16 // of that OPT record
	rdata   int    // of the open record, where its length stands
	targets targets
}

// Reset forgets everything but the buffers; buffers that one huge reply left behind go too.
func (r *Reply) Reset() {
	const keep = 1 << 16
	if cap(r.buf) > keep {
		r.buf, r.records = nil, nil
	}
	r.buf, r.records, r.options = r.buf[:0], r.records[:0], nil
	r.counts, r.section, r.state, r.bits, r.rcode = [3]int{}, Answer, unmade, 0, 0
	r.targets.n, r.foreign, r.flags = 0, false, 0
}

// Start makes an empty reply to q with this rcode; what was there is forgotten (RFC 1035, section 4.1.1; RD and CD are
// the query's).
func (r *Reply) Start(q *Query, rcode int) {
	r.Reset()
	r.buf = append(r.buf, q.head...)
	r.body = len(r.buf)
	r.state, r.rcode = made, rcode
	r.bits = replyBits(q)
}

// replyBits are the flags that a reply takes over from its query.
func replyBits(q *Query) uint16 {
	if q.Opcode() == dns.OpcodeQuery {
		return bitQR | q.bits()&(bitRD|bitCD)
	}
	return bitQR | q.bits()&0x7800
}

// Fail makes the reply to a packet of which Parse said err; it is false when nothing may be sent.
func (r *Reply) Fail(q *Query, err error) bool {
	r.Reset()
	switch err {
	case ErrFormat, ErrOpcode:
		r.rcode = dns.RcodeFormatError
		// What the client set is kept, but for the opcode of what is no query at all, as miekg/dns has it.
		r.bits = q.bits()&(bitTC|bitRD|bitRA|bitAD|bitCD) | bitQR
		if err == ErrOpcode {
			r.rcode = dns.RcodeNotImplemented
			r.bits |= q.bits() & 0x7800
		}
	case ErrQuestion:
		r.rcode = dns.RcodeServerFailure
		r.bits = replyBits(q)
	default:
		return false
	}
	r.state = made
	if q.head != nil && err == ErrFormat {
		r.buf = append(r.buf, q.head...)
	} else {
		r.buf = append(r.buf, q.packet[:headerSize]...)
	}
	r.body = len(r.buf)
	return true
}

// Made tells whether there is a reply to send.
func (r *Reply) Made() bool { return r.state == made }

// Drop says that the query shall stay without a reply.
func (r *Reply) Drop() { r.state = dropped }

// Dropped tells whether Drop was called.
func (r *Reply) Dropped() bool { return r.state == dropped }

// Rcode is the reply's response code, the extended part included.
func (r *Reply) Rcode() int { return r.rcode }

// SetRcode changes the response code.
func (r *Reply) SetRcode(rcode int) { r.rcode = rcode }

// SetAuthoritative sets the AA bit.
func (r *Reply) SetAuthoritative(on bool) { r.set(bitAA, on) }

// SetRecursionAvailable sets the RA bit.
func (r *Reply) SetRecursionAvailable(on bool) { r.set(bitRA, on) }

// SetTruncated sets the TC bit.
func (r *Reply) SetTruncated(on bool) { r.set(bitTC, on) }

// Truncated tells whether TC is set.
func (r *Reply) Truncated() bool { return r.bits&bitTC != 0 }

func (r *Reply) set(bit uint16, on bool) {
	if on {
		r.bits |= bit
	} else {
		r.bits &^= bit
	}
}

// Flags are the reply's header flags as letters joined by commas, as dig names them: "qr,aa,rd".
func (r *Reply) Flags() string { return string(r.AppendFlags(nil)) }

// AppendFlags appends to text what Flags returns.
func (r *Reply) AppendFlags(text []byte) []byte {
	separator := ""
	for _, f := range [...]struct {
		bit  uint16
		name string
	}{{bitQR, "qr"}, {bitAA, "aa"}, {bitTC, "tc"}, {bitRD, "rd"}, {bitRA, "ra"}, {bitZ, "z"}, {bitAD, "ad"}, {bitCD, "cd"}} {
		if r.bits&f.bit != 0 {
			text = append(append(text, separator...), f.name...)
			separator = ","
		}
	}
	return text
}

// Count is the number of records in a section.
func (r *Reply) Count(s Section) int { return r.counts[s] }

// Len is the size of the reply so far, without an OPT record.
func (r *Reply) Len() int { return len(r.buf) }

// Section says where the records that follow go. Sections come in their order.
func (r *Reply) Section(s Section) { r.section = s }

// Open begins a record of class IN: owner, type and TTL (seconds). Its data follows, then Close.
func (r *Reply) Open(owner Ref, rtype uint16, ttl uint32) {
	r.records = append(r.records, uint32(len(r.buf)))
	r.pointer(owner)
	r.buf = append(r.buf, byte(rtype>>8), byte(rtype), 0, dns.ClassINET,
		byte(ttl>>24), byte(ttl>>16), byte(ttl>>8), byte(ttl), 0, 0)
	r.rdata = len(r.buf)
}

// Close ends the record that Open began.
func (r *Reply) Close() {
	binary.BigEndian.PutUint16(r.buf[r.rdata-2:], uint16(len(r.buf)-r.rdata))
	r.counts[r.section]++
}

// pointer writes a name by its place: two bytes, or the whole name where it lies too far back for a pointer
// (RFC 1035, section 4.1.4: 14 bits).
func (r *Reply) pointer(at Ref) {
	if at < 1<<14 {
		r.buf = append(r.buf, 0xc0|byte(at>>8), byte(at))
		return
	}
	for i := int(at); ; {
		length := int(r.buf[i])
		if length >= 0xc0 || length == 0 {
			r.buf = append(r.buf, r.buf[i:i+1+length>>7]...)
			return
		}
		r.buf = append(r.buf, r.buf[i:i+1+length]...)
		i += 1 + length
	}
}

// Here is the place of what is written next.
func (r *Reply) Here() Ref { return Ref(len(r.buf)) }

// Uint16 appends to the open record's data.
func (r *Reply) Uint16(v uint16) { r.buf = append(r.buf, byte(v>>8), byte(v)) }

// Uint32 appends to the open record's data.
func (r *Reply) Uint32(v uint32) {
	r.buf = append(r.buf, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

// Bytes appends to the open record's data.
func (r *Reply) Bytes(b []byte) { r.buf = append(r.buf, b...) }

// Text appends to the open record's data.
func (r *Reply) Text(s string) { r.buf = append(r.buf, s...) }

// Pointer appends to the open record's data a name that stands at a place already.
func (r *Reply) Pointer(at Ref) { r.pointer(at) }

// Address appends a whole A or AAAA record: addr has 4 or 16 bytes.
func (r *Reply) Address(owner Ref, addr []byte, ttl uint32) {
	rtype := uint16(dns.TypeA)
	if len(addr) == 16 {
		rtype = dns.TypeAAAA
	}
	r.Open(owner, rtype, ttl)
	r.buf = append(r.buf, addr...)
	r.Close()
}

// Weight of each of n equal targets of SRV records (RFC 2782): their share of 100, and at least 1.
func Weight(n int) uint16 { return uint16(max(1, 100/n)) }

// OpenSRV begins an SRV record of priority 0, whose target, to follow, stands at the place returned. A target is not
// compressed (RFC 2782).
func (r *Reply) OpenSRV(owner Ref, ttl uint32, weight, port uint16) Ref {
	r.Open(owner, dns.TypeSRV, ttl)
	r.Uint16(0)
	r.Uint16(weight)
	r.Uint16(port)
	return r.Here()
}

// SOA is what a zone's start of authority says (RFC 1035, section 3.3.13), in seconds.
type SOA struct {
	MName, RName           string // labels in wire form, without a root, below the zone
	TTL                    uint32
	Serial                 uint32
	Refresh, Retry, Expire uint32
	Minimum                uint32
}

// SOA appends a zone's SOA record; zone is the place of the zone's name.
func (r *Reply) SOA(zone Ref, soa *SOA) {
	r.Open(zone, dns.TypeSOA, soa.TTL)
	r.Text(soa.MName)
	r.pointer(zone)
	r.Text(soa.RName)
	r.pointer(zone)
	for _, v := range [...]uint32{soa.Serial, soa.Refresh, soa.Retry, soa.Expire, soa.Minimum} {
		r.Uint32(v)
	}
	r.Close()
}
