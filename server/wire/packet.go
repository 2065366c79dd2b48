package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/miekg/dns"
)

// ErrMismatch is what SetPacket says of a packet that answers another question, or is no reply.
var ErrMismatch = errors.New("the packet does not answer the question")

// SetPacket makes a packed reply of somebody else's the reply to q: its records, flags and rcode; the ID is q's, and the
// question is spelled as q's. Of an OPT record the options and the extended rcode are kept. The packet's own ID does not
// count, and packet is not kept. ErrMismatch, or that it is malformed, leaves r empty.
//
// Records of the ordinary types are taken as they stand once every name of theirs was followed to its end. Everything
// else is unpacked by miekg/dns and packed anew, so that what is malformed is what that library says. So is a packet
// without compression that may be too large for a client by UDP: servers send such by TCP, CoreDNS for one.
func (r *Reply) SetPacket(q *Query, packet []byte) error {
	r.Reset()
	if !q.AnsweredBy(packet) {
		return ErrMismatch
	}
	r.buf = append(r.buf, packet...)
	r.body = len(q.head)
	copy(r.buf[headerSize:], q.head[headerSize:])
	binary.BigEndian.PutUint16(r.buf, q.ID())
	bits := binary.BigEndian.Uint16(packet[2:])
	r.bits, r.rcode = bits&^0xf, int(bits&0xf)
	if r.adopt() && (len(packet) <= dns.MinMsgSize || !r.loose()) {
		r.state = made
		return nil
	}
	if err := r.repack(q, packet); err != nil {
		r.Reset()
		return fmt.Errorf("malformed reply: %w", err)
	}
	return nil
}

// repack unpacks the packet, packs it, and reads it once more: of records without data, miekg/dns takes more than it
// can write.
func (r *Reply) repack(q *Query, packet []byte) error {
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		return err
	}
	m.Question = []dns.Question{{Name: q.NameString(), Qtype: q.Type, Qclass: q.Class}}
	if err := r.SetMsg(q, m); err != nil {
		return err
	}
	_, err := r.Msg()
	return err
}

// AnsweredBy tells whether packet begins like a response to q's question, in whatever spelling. IDs don't count.
func (q *Query) AnsweredBy(packet []byte) bool {
	if len(packet) < len(q.head) || packet[2]>>3&0xf != byte(q.Opcode()) || packet[2]&0x80 == 0 ||
		binary.BigEndian.Uint16(packet[4:]) != 1 {
		return false
	}
	end := headerSize + q.nameLen
	if string(packet[end:len(q.head)]) != string(q.head[end:]) {
		return false
	}
	var name [MaxName]byte
	lower(name[:q.nameLen], packet[headerSize:end])
	return string(name[:q.nameLen]) == string(q.name[:q.nameLen])
}

// adopt finds counts and records; false where miekg/dns has to look at the packet.
func (r *Reply) adopt() bool {
	at := r.body
	for s := range r.counts {
		r.counts[s] = int(binary.BigEndian.Uint16(r.buf[6+2*s:]))
		for range r.counts[s] {
			end, ok := r.soundRecord(at)
			if !ok {
				return false
			}
			r.records = append(r.records, uint32(at))
			at = end
		}
	}
	r.buf = r.buf[:at]
	return r.takeOPT()
}

// loose tells whether a record spells the question's name out, where two bytes would have done (RFC 1035, section 4.1.4).
func (r *Reply) loose() bool {
	for _, at := range r.records {
		if r.buf[at] < 0xc0 && r.SameNames(QuestionName, Ref(at)) {
			return true
		}
	}
	return false
}

// takeOPT takes the OPT record off the reply's end; one that stands elsewhere is left to miekg/dns.
func (r *Reply) takeOPT() bool {
	for i, at := range r.records {
		if rtype, _ := r.kind(i); rtype != dns.TypeOPT {
			continue
		}
		if r.buf[at] != 0 || i != len(r.records)-1 || r.counts[Additional] == 0 {
			return false
		}
		r.rcode |= int(r.buf[at+5]) << 4
		r.foreign, r.flags = true, binary.BigEndian.Uint16(r.buf[at+7:])
		r.options = append(r.options, r.buf[at+optSize:]...)
		r.counts[Additional]--
		r.buf, r.records = r.buf[:at], r.records[:i]
	}
	return true
}

// soundRecord is where the record at a place ends; false unless it is of an ordinary type and all is well with it.
func (r *Reply) soundRecord(at int) (end int, ok bool) {
	at, ok = r.soundName(at)
	if !ok || at+10 > len(r.buf) {
		return 0, false
	}
	rtype, data := binary.BigEndian.Uint16(r.buf[at:]), at+10
	size := int(binary.BigEndian.Uint16(r.buf[at+8:]))
	end = data + size
	return end, end <= len(r.buf) && r.soundData(rtype, data, end)
}

func (r *Reply) soundData(rtype uint16, data, end int) bool {
	switch rtype {
	case dns.TypeA:
		return end-data == 4
	case dns.TypeAAAA:
		return end-data == 16
	case dns.TypeCNAME, dns.TypeNS, dns.TypePTR:
		return r.soundNames(data, end, 1)
	case dns.TypeMX:
		return r.soundNames(data+2, end, 1)
	case dns.TypeSRV:
		return r.soundNames(data+6, end, 1)
	case dns.TypeSOA:
		return r.soundNames(data, end-20, 2)
	case dns.TypeTXT:
		return end > data && soundStrings(r.buf[data:end])
	case dns.TypeOPT:
		return soundOptions(r.buf[data:end])
	}
	return false
}

// soundNames tells whether n names fill the bytes up to end.
func (r *Reply) soundNames(at, end, n int) bool {
	for range n {
		next, ok := r.soundName(at)
		if !ok || next > end {
			return false
		}
		at = next
	}
	return at == end
}

// soundName is where the name at a place ends. Each pointer has to lead further back, to a label and not to another
// pointer (so that the way ends), and not into an address record (so that those can be moved about, see Shuffle).
func (r *Reply) soundName(at int) (end int, ok bool) {
	total, floor := 0, at
	for at < len(r.buf) {
		switch n := int(r.buf[at]); {
		case n == 0:
			if end == 0 {
				end = at + 1
			}
			return end, total < MaxName
		case n < 64:
			total += 1 + n
			at += 1 + n
		case n < 0xc0 || at+1 >= len(r.buf):
			return 0, false
		default:
			if end == 0 {
				end = at + 2
			}
			target := (n&0x3f)<<8 | int(r.buf[at+1])
			if target < headerSize || target >= floor || r.buf[target] >= 0xc0 || r.inAddress(target) {
				return 0, false
			}
			at, floor = target, target
		}
	}
	return 0, false
}

// inAddress tells whether a place lies in one of the address records found so far.
func (r *Reply) inAddress(place int) bool {
	for i := len(r.records) - 1; i >= 0; i-- {
		if at := int(r.records[i]); at <= place {
			rtype, _ := r.kind(i)
			return isAddress(rtype)
		}
	}
	return false
}

// soundStrings tells whether strings with their lengths fill b.
func soundStrings(b []byte) bool {
	for len(b) > 0 {
		n := 1 + int(b[0])
		if n > len(b) {
			return false
		}
		b = b[n:]
	}
	return true
}
