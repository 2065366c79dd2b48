package forward

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/nameplane/nameplane/server/wire"
)

const (
	headerSize = 12 // RFC 1035, section 4.1.1
	// mostKept is the largest buffer that is kept for the next flight.
	mostKept = 8192
)

// flight is one query on its way to an upstream, and what comes back. Until it has landed it belongs to its link, under
// whose lock it is filled; then it belongs to whoever sent it.
type flight struct {
	query    *wire.Query // what is asked; of the sender, who waits
	frame    []byte      // the packet that is sent, behind its length, as TCP has it; the ID is the link's choice
	limit    int         // a larger reply is cut: the client takes no more
	lenient  bool        // any response will do: of a health check
	deadline time.Time

	packet []byte // the reply
	rcode  int    // the reply's, the part in its OPT record included
	err    error  // why there is none
	used   bool   // the link had answered other queries before
	twice  bool   // sent once more, after the link turned out to be closed
	link   *link
	landed chan struct{} // holds one once the flight has landed
}

// flights keeps buffers of flights that are over.
type flights struct{ pool sync.Pool }

// get makes a flight for a query. A reply of more than limit bytes will be cut.
func (p *flights) get(q *wire.Query, limit int, deadline time.Time) *flight {
	f, ok := p.pool.Get().(*flight)
	if !ok {
		f = &flight{landed: make(chan struct{}, 1)}
	}
	packet := q.Packet()
	f.query, f.limit, f.deadline, f.lenient = q, limit, deadline, false
	f.frame = binary.BigEndian.AppendUint16(f.frame[:0], uint16(len(packet)))
	f.frame = append(f.frame, packet...)
	f.packet, f.rcode, f.err, f.used, f.twice, f.link = f.packet[:0], 0, nil, false, false, nil
	return f
}

// put takes a flight back that has landed, or was never sent. Large buffers are let go.
func (p *flights) put(f *flight) {
	f.query, f.link = nil, nil
	if cap(f.packet) <= mostKept && cap(f.frame) <= mostKept {
		p.pool.Put(f)
	}
}

func (f *flight) setID(id uint16) { binary.BigEndian.PutUint16(f.frame[2:], id) }

func (f *flight) id() uint16 { return binary.BigEndian.Uint16(f.frame[2:]) }

// land ends the flight.
func (f *flight) land(err error) {
	f.err = err
	f.landed <- struct{}{}
}

// take makes a packet of this flight's ID its reply; false when it is none, and the wait goes on (RFC 5452, section 9.1).
// Whether a packet is well-formed scratch finds out.
func (f *flight) take(packet []byte, scratch *wire.Reply) bool {
	const response, truncated = 0x80, 0x02 // of the third byte
	switch {
	case packet[2]&response == 0:
		return false
	case f.lenient:
		f.packet = append(f.packet[:0], packet[:headerSize]...)
		return true
	case !f.query.AnsweredBy(packet):
		return f.takeBare(packet)
	case len(packet) > f.limit:
		f.cut(packet)
		return true
	case scratch.SetPacket(f.query, packet) == nil:
		f.packet, f.rcode = append(f.packet[:0], packet...), scratch.Rcode()
		return true
	case packet[2]&truncated != 0: // some write what fits, be it half a record
		f.cut(packet)
		return true
	}
	return false
}

// takeBare takes a header without a question that says that the query was not understood or not wanted: very old servers
// answer EDNS so (RFC 6891, section 7). It tells of no data, so that who forges it wins nothing but a failed query, and
// waiting on would cost the client a timeout.
func (f *flight) takeBare(packet []byte) bool {
	rcode := packet[3] & 0xf
	if len(packet) != headerSize || rcode == 0 || rcode == nameError || binary.BigEndian.Uint64(packet[4:]) != 0 ||
		packet[2]>>3&0xf != byte(f.query.Opcode()) {
		return false
	}
	f.withoutRecords(packet)
	return true
}

const nameError = 3 // RFC 1035, section 4.1.1

// cut leaves the header and TC of a reply, as CoreDNS does: the client is to ask by TCP.
func (f *flight) cut(packet []byte) {
	f.withoutRecords(packet)
	f.packet[2] |= 0x02
}

// withoutRecords makes a reply of a packet's flags and the flight's question.
func (f *flight) withoutRecords(packet []byte) {
	question := f.frame[2+headerSize : 2+headerSize+len(f.query.Name())+4]
	f.rcode = int(packet[3] & 0xf)
	f.packet = append(f.packet[:0], packet[:4]...)
	f.packet = append(f.packet, 0, 1, 0, 0, 0, 0, 0, 0)
	f.packet = append(f.packet, question...)
}

func (f *flight) truncated() bool { return f.packet[2]&0x02 != 0 }
