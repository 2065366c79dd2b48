package wire

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// Image is a reply that is kept, to be sent again to whoever asks the same question: the packet without an OPT record,
// which is every client's own (RFC 6891, section 6.2.2), and where its records begin. It does not change, so that any
// number of goroutines may read it.
type Image struct {
	data   []byte // the packet, its question in lower case; behind it two bytes for each record: where it begins
	length int    // of the packet
	counts [3]uint16
	bits   uint16
	rcode  uint16
}

// Image is a copy of the reply, which must answer q's question. It is nil when it does not, and when the reply is too
// large for a message.
func (r *Reply) Image(q *Query) *Image {
	if len(r.buf) > dns.MaxMsgSize || !r.Answers(q) {
		return nil
	}
	i := &Image{
		data: make([]byte, len(r.buf)+2*len(r.records)), length: len(r.buf),
		bits: r.bits, rcode: uint16(r.rcode),
	}
	copy(i.data, r.buf)
	copy(i.data[headerSize:], q.name[:q.nameLen])
	for n, at := range r.records {
		binary.BigEndian.PutUint16(i.data[i.length+2*n:], uint16(at))
	}
	for s, n := range r.counts {
		i.counts[s] = uint16(n)
	}
	return i
}

// Answers tells whether the reply's question is q's, in whatever spelling.
func (r *Reply) Answers(q *Query) bool {
	if r.state != made || r.body != len(q.head) {
		return false
	}
	end := headerSize + q.nameLen
	return string(r.buf[end:r.body]) == string(q.head[end:]) && r.SameName(QuestionName, q.head[headerSize:end])
}

// Answers tells whether the image is of a reply to q's question: to its name, type and class.
func (i *Image) Answers(q *Query) bool {
	end := headerSize + q.nameLen
	return i.length >= end+4 && string(i.data[headerSize:end]) == string(q.name[:q.nameLen]) &&
		binary.BigEndian.Uint16(i.data[end:]) == q.Type && binary.BigEndian.Uint16(i.data[end+2:]) == q.Class
}

// Rcode is the reply's response code.
func (i *Image) Rcode() int { return int(i.rcode) }

// Size is the number of bytes that the image holds.
func (i *Image) Size() int { return cap(i.data) }

// SetImage makes an image the reply to q, whose question it must answer, with one TTL (seconds) on every record. AA, RA
// and AD are the image's, but AD only for those who understand it (RFC 6840, section 5.8); RD and CD are the query's.
// Names in the reply that end in the question get this client's spelling.
func (r *Reply) SetImage(q *Query, i *Image, ttl uint32) {
	r.Reset()
	r.buf = append(r.buf, i.data[:i.length]...)
	r.body = len(q.head)
	copy(r.buf[headerSize:], q.head[headerSize:])
	for at := i.length; at < len(i.data); at += 2 {
		r.records = append(r.records, uint32(binary.BigEndian.Uint16(i.data[at:])))
	}
	for s, n := range i.counts {
		r.counts[s] = int(n)
	}
	r.state, r.rcode = made, int(i.rcode)
	r.bits = replyBits(q) | i.bits&(bitAA|bitRA|bitAD)
	if !q.wantsAD() {
		r.bits &^= bitAD
	}
	r.SetTTL(ttl)
}

// wantsAD tells whether the client knows what AD in a reply means (RFC 6840, section 5.8).
func (q *Query) wantsAD() bool { return q.AD() || q.EDNS.Present && q.EDNS.DO() }

// HideAD clears the AD bit unless the client knows what it means.
func (r *Reply) HideAD(q *Query) {
	if !q.wantsAD() {
		r.bits &^= bitAD
	}
}
