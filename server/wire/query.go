package wire

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/miekg/dns"
)

const headerSize = 12 // RFC 1035, section 4.1.1

// Header bits of the second 16-bit word (RFC 1035, section 4.1.1; RFC 2535, section 6.1).
const (
	bitQR = 1 << 15
	bitAA = 1 << 10
	bitTC = 1 << 9
	bitRD = 1 << 8
	bitRA = 1 << 7
	bitZ  = 1 << 6
	bitAD = 1 << 5
	bitCD = 1 << 4
)

// What Parse says of a packet that is not a query to be answered.
var (
	// ErrIgnored: nothing may be sent back, since the packet has no whole header or is itself a response.
	ErrIgnored = errors.New("not a query")
	// ErrFormat: to be answered by FORMERR (RFC 1035, section 4.1.1).
	ErrFormat = errors.New("format error")
	// ErrOpcode: to be answered by NOTIMP.
	ErrOpcode = errors.New("opcode not implemented")
	// ErrQuestion: a header that promises a question, and nothing behind it; to be answered by SERVFAIL.
	ErrQuestion = errors.New("no question")
)

// EDNS is what a query's OPT record says (RFC 6891, section 6.1).
type EDNS struct {
	Present bool
	Version uint8
	Size    uint16 // the client's UDP payload size, as written
	Flags   uint16 // DO and the reserved bits
	Options []byte // as they stand in the packet
}

// DO tells whether DNSSEC records are wanted (RFC 3225).
func (e *EDNS) DO() bool { return e.Flags&(1<<15) != 0 }

// Query is a view of a packet that holds a query. It aliases the packet.
type Query struct {
	Type  uint16
	Class uint16
	EDNS  EDNS

	packet   []byte // what came in
	head     []byte // header and question, the name without pointers; a prefix of packet, if it could be
	nameLen  int
	labelNum int
	name     [MaxName]byte // lower case
	labels   [128]uint8    // where each label begins, the root's included
	msg      *dns.Msg      // packet, unpacked; nil until somebody wants it
}

// Parse makes q a view of packet. After an error Reply.Fail still finds in q what it needs.
func (q *Query) Parse(packet []byte) error {
	q.packet, q.head, q.msg, q.EDNS, q.nameLen, q.labelNum = packet, nil, nil, EDNS{}, 0, 0
	q.Type, q.Class = 0, 0
	if len(packet) < headerSize {
		return ErrIgnored
	}
	bits := binary.BigEndian.Uint16(packet[2:])
	if bits&bitQR != 0 {
		return ErrIgnored
	}
	if op := q.Opcode(); op != dns.OpcodeQuery && op != dns.OpcodeNotify {
		return ErrOpcode
	}
	count := func(section int) uint16 { return binary.BigEndian.Uint16(packet[4+2*section:]) }
	if count(0) != 1 || count(1) > 1 || count(2) > 1 || count(3) > 2 {
		return ErrFormat
	}
	if count(1) == 0 && count(2) == 0 && count(3) < 2 && q.plain(count(3) == 1) {
		return nil
	}
	return q.strange()
}

// plain reads a question and at most a plain OPT record; false where miekg/dns has to look at the packet.
func (q *Query) plain(opt bool) bool {
	p := q.packet
	at, n := headerSize, 0
	for {
		if at >= len(p) {
			return false
		}
		length := int(p[at])
		q.labels[n] = uint8(at - headerSize)
		if length == 0 {
			break
		}
		if length > 63 || at+1+length >= len(p) || at+1+length-headerSize >= MaxName {
			return false
		}
		at += 1 + length
		n++
	}
	at++
	if len(p) < at+4 {
		return false
	}
	q.labelNum, q.nameLen = n, at-headerSize
	lower(q.name[:q.nameLen], p[headerSize:at])
	q.Type = binary.BigEndian.Uint16(p[at:])
	q.Class = binary.BigEndian.Uint16(p[at+2:])
	q.head = p[: at+4 : at+4]
	return !opt || q.plainOPT(p[at+4:])
}

// plainOPT reads an OPT record whose options are all of a kind that any content is good for.
func (q *Query) plainOPT(p []byte) bool {
	const fixed = 11
	if len(p) < fixed || p[0] != 0 || binary.BigEndian.Uint16(p[1:]) != dns.TypeOPT {
		return false
	}
	length := int(binary.BigEndian.Uint16(p[9:]))
	if len(p) < fixed+length {
		return false
	}
	options := p[fixed : fixed+length]
	if !soundOptions(options) {
		return false
	}
	if p[5] != 0 { // an extended rcode in a query: rare enough
		return false
	}
	q.EDNS = EDNS{Present: true, Size: binary.BigEndian.Uint16(p[3:]), Version: p[6], Flags: binary.BigEndian.Uint16(p[7:]), Options: options}
	return true
}

// soundOptions tells whether options fill b whose content is nobody's business here.
func soundOptions(b []byte) bool {
	for len(b) > 0 {
		if len(b) < 4 {
			return false
		}
		switch code := binary.BigEndian.Uint16(b); code {
		case dns.EDNS0COOKIE, dns.EDNS0NSID, dns.EDNS0PADDING:
		default:
			if code < dns.EDNS0LOCALSTART || code > dns.EDNS0LOCALEND {
				return false
			}
		}
		n := 4 + int(binary.BigEndian.Uint16(b[2:]))
		if len(b) < n {
			return false
		}
		b = b[n:]
	}
	return true
}

// strange reads by miekg/dns what plain would not.
func (q *Query) strange() error {
	m := new(dns.Msg)
	err := m.Unpack(q.packet)
	if len(m.Question) == 1 {
		if named := q.adopt(&m.Question[0]); named != nil {
			return ErrFormat
		}
	}
	switch {
	case err != nil:
		return ErrFormat
	case len(m.Question) == 0:
		return ErrQuestion
	}
	if !bytes.HasPrefix(q.packet, q.head) {
		// A pointer in the question may lead into the header: forwarded under another ID, it would be another name.
		packet, err := m.Pack()
		if err != nil {
			return ErrFormat
		}
		q.packet = packet
	}
	q.msg = m
	if opt := m.IsEdns0(); opt != nil {
		q.EDNS = EDNS{Present: true, Size: opt.UDPSize(), Version: opt.Version(), Flags: uint16(opt.Hdr.Ttl)}
		q.EDNS.Options = packOptions(opt)
	}
	return nil
}

// packOptions writes an OPT record's options as they stand in a packet; none if they cannot be written.
func packOptions(opt *dns.OPT) []byte {
	bare := dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}, Option: opt.Option}
	buf := make([]byte, dns.Len(&bare))
	n, err := dns.PackRR(&bare, buf, 0, nil, false)
	if err != nil {
		return nil
	}
	return buf[11:n]
}

// adopt makes header and question anew from what miekg/dns read. The bytes are not used again: a copy of q, put aside
// while another question is asked, shares them.
func (q *Query) adopt(question *dns.Question) error {
	buf := make([]byte, headerSize+MaxName+4+1)
	copy(buf, q.packet[:headerSize])
	end, err := dns.PackDomainName(question.Name, buf, headerSize, nil, false)
	if err != nil || end-headerSize > MaxName {
		return ErrFormat
	}
	binary.BigEndian.PutUint16(buf[end:], question.Qtype)
	binary.BigEndian.PutUint16(buf[end+2:], question.Qclass)
	q.head = buf[: end+4 : end+4]
	q.Type, q.Class = question.Qtype, question.Qclass
	q.nameLen = end - headerSize
	lower(q.name[:q.nameLen], buf[headerSize:end])
	q.labelNum = 0
	for at := 0; q.name[at] != 0; at += 1 + int(q.name[at]) {
		q.labels[q.labelNum] = uint8(at)
		q.labelNum++
	}
	q.labels[q.labelNum] = uint8(q.nameLen - 1)
	return nil
}

// ID is the message's ID.
func (q *Query) ID() uint16 { return binary.BigEndian.Uint16(q.packet) }

// Opcode is the kind of query: 0 for a standard one, 4 for NOTIFY.
func (q *Query) Opcode() int { return int(q.packet[2]>>3) & 0xf }

func (q *Query) bits() uint16 { return binary.BigEndian.Uint16(q.packet[2:]) }

// RD tells whether the client wants recursion.
func (q *Query) RD() bool { return q.bits()&bitRD != 0 }

// CD tells whether the client wants no validation (RFC 4035, section 3.2.2).
func (q *Query) CD() bool { return q.bits()&bitCD != 0 }

// AD tells whether the client understands the AD bit (RFC 6840, section 5.7).
func (q *Query) AD() bool { return q.bits()&bitAD != 0 }

// SetAD sets or clears the AD bit in the packet.
func (q *Query) SetAD(on bool) {
	q.packet[3] &^= bitAD
	if on {
		q.packet[3] |= bitAD
	}
	if q.msg != nil {
		q.msg.AuthenticatedData = on
	}
}

// Len is the size of the packet.
func (q *Query) Len() int { return len(q.packet) }

// Name is the name asked for, in lower case; it is valid until the next Parse and not to be changed.
func (q *Query) Name() []byte { return q.name[:q.nameLen] }

// Labels is the number of labels in the name, the root's not counted.
func (q *Query) Labels() int { return q.labelNum }

// Label is label i of the name in lower case, without its length; 0 is the leftmost.
func (q *Query) Label(i int) []byte {
	return q.name[q.labels[i]+1 : q.labels[i+1]]
}

// From is the name from label i on, in lower case.
func (q *Query) From(i int) []byte { return q.name[q.labels[i]:q.nameLen] }

// Span is the labels from i up to but without j in wire form, in lower case, without a root.
func (q *Query) Span(i, j int) []byte { return q.name[q.labels[i]:q.labels[j]] }

// Spelling is the name from label i on as the client spelled it.
func (q *Query) Spelling(i int) []byte {
	return q.head[headerSize+int(q.labels[i]) : headerSize+q.nameLen]
}

// Within tells whether the name is zone or below it, and how many labels stand left of it.
func (q *Query) Within(zone Name) (left int, ok bool) {
	off := q.nameLen - len(zone)
	if off < 0 || string(q.name[off:q.nameLen]) != string(zone) {
		return 0, false
	}
	for i := 0; i <= q.labelNum; i++ {
		switch at := int(q.labels[i]); {
		case at == off:
			return i, true
		case at > off:
			return 0, false
		}
	}
	return 0, false
}

// NameString is the name as a person writes it, in the client's spelling.
func (q *Query) NameString() string {
	if q.nameLen == 0 {
		return "."
	}
	return spell(q.head[headerSize : headerSize+q.nameLen])
}

// TypeString is the name of the type asked for, TYPE1234 where it has none (RFC 3597).
func (q *Query) TypeString() string { return dns.Type(q.Type).String() }

// ClassString is the name of the class asked for.
func (q *Query) ClassString() string { return dns.Class(q.Class).String() }

// Msg is the query as a message of its own, which the caller may keep and change.
func (q *Query) Msg() (*dns.Msg, error) {
	if q.msg != nil {
		return q.msg.Copy(), nil
	}
	m := new(dns.Msg)
	if err := m.Unpack(q.packet); err != nil {
		return nil, err
	}
	return m, nil
}

// Packet is the query as it came in; not to be changed.
func (q *Query) Packet() []byte { return q.packet }

// MaxReply is the size in bytes up to which a UDP client takes a reply (RFC 6891, section 6.2.3).
func (q *Query) MaxReply() int {
	if q.EDNS.Present && q.EDNS.Size > dns.MinMsgSize {
		return int(q.EDNS.Size)
	}
	return dns.MinMsgSize
}
