package wire

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/miekg/dns"
)

// Shuffle puts the address records of every section in random order, and so its MX records; CNAMEs come first. It is
// what clients that take the first answer need to spread over all.
func (r *Reply) Shuffle(q *Query) error {
	first := 0
	for s := range r.counts {
		last := first + r.counts[s]
		if last-first > 1 && !r.shuffleAddresses(first, last) {
			return r.shuffleMsg(q)
		}
		first = last
	}
	return nil
}

// shuffleAddresses does it on the bytes, if the section's addresses stand together at its end, behind CNAMEs and others in
// that order, and nothing can point into them: an address record whose owner is a pointer holds no other name.
func (r *Reply) shuffleAddresses(first, last int) bool {
	from, before := first, uint16(dns.TypeCNAME)
	for i := first; i < last; i++ {
		switch rtype, pointer := r.kind(i); {
		case rtype == dns.TypeMX, isAddress(rtype) && !pointer:
			return false
		case !isAddress(rtype):
			if i != from || rtype == dns.TypeCNAME && before != dns.TypeCNAME {
				return false
			}
			from, before = from+1, rtype
		}
	}
	if last-from > 1 {
		r.permute(from, last)
	}
	return true
}

func isAddress(rtype uint16) bool { return rtype == dns.TypeA || rtype == dns.TypeAAAA }

// kind is record i's type, and whether its owner is nothing but a pointer.
func (r *Reply) kind(i int) (rtype uint16, pointer bool) {
	at := int(r.records[i])
	pointer = r.buf[at] >= 0xc0
	return binary.BigEndian.Uint16(r.buf[skipName(r.buf, at):]), pointer
}

// permute puts records [first, last) in random order: the tail of the buffer is their new place for a moment.
func (r *Reply) permute(first, last int) {
	start, end := int(r.records[first]), r.recordEnd(last-1)
	old := len(r.buf)
	r.buf = append(r.buf, r.buf[start:end]...)
	// The offsets are drawn one after the other (Fisher and Yates), and each record is copied back as it is drawn.
	order := r.records[first:last]
	at := start
	length := func(i uint32) int { return r.addressLen(old + int(i) - start) }
	for i := range order {
		j := i + rand.IntN(len(order)-i)
		order[i], order[j] = order[j], order[i]
		n := length(order[i])
		copy(r.buf[at:], r.buf[old+int(order[i])-start:][:n])
		order[i] = uint32(at)
		at += n
	}
	r.buf = r.buf[:old]
}

// addressLen is the size of an address record whose owner is a pointer.
func (r *Reply) addressLen(at int) int {
	return 12 + int(binary.BigEndian.Uint16(r.buf[at+10:]))
}

func (r *Reply) recordEnd(i int) int {
	if i+1 < len(r.records) {
		return int(r.records[i+1])
	}
	return len(r.buf)
}

// shuffleMsg does it on the unpacked message, for everything out of the ordinary.
func (r *Reply) shuffleMsg(q *Query) error {
	return r.Edit(q, func(m *dns.Msg) {
		m.Answer, m.Ns, m.Extra = shuffled(m.Answer), shuffled(m.Ns), shuffled(m.Extra)
	})
}

func shuffled(records []dns.RR) []dns.RR {
	var cname, rest, address, mx []dns.RR
	for _, rr := range records {
		switch rr.Header().Rrtype {
		case dns.TypeCNAME:
			cname = append(cname, rr)
		case dns.TypeA, dns.TypeAAAA:
			address = append(address, rr)
		case dns.TypeMX:
			mx = append(mx, rr)
		default:
			rest = append(rest, rr)
		}
	}
	for _, list := range [...][]dns.RR{address, mx} {
		rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	}
	return append(append(append(cname, rest...), address...), mx...)
}
