package wire

import "encoding/binary"

// OpenBelow begins a record like Open, whose owner is one label in front of the name at a place. The caller sees to it
// that the label has 1 to 63 bytes and that the name does not grow past MaxName.
func (r *Reply) OpenBelow(label string, owner Ref, rtype uint16, ttl uint32) {
	start := uint32(len(r.buf))
	r.buf = append(append(r.buf, byte(len(label))), label...)
	r.Open(owner, rtype, ttl)
	r.records[len(r.records)-1] = start
}

// Has tells whether a section holds a record of this type.
func (r *Reply) Has(s Section, rtype uint16) bool {
	first := 0
	for _, n := range r.counts[:s] {
		first += int(n)
	}
	for i := first; i < first+int(r.counts[s]); i++ {
		if have, _ := r.kind(i); have == rtype {
			return true
		}
	}
	return false
}

// Record is a record of a reply, by its places.
type Record struct {
	Owner Ref
	Type  uint16
	Class uint16
	TTL   uint32 // seconds
	Data  Ref
	Size  int // of the data, in bytes
}

// Records is the number of records in all sections.
func (r *Reply) Records() int { return len(r.records) }

// Record is record i, counted over all sections in their order.
func (r *Reply) Record(i int) Record {
	at := int(r.records[i])
	fixed := r.fixed(at)
	return Record{
		Owner: Ref(at),
		Type:  binary.BigEndian.Uint16(r.buf[fixed:]),
		Class: binary.BigEndian.Uint16(r.buf[fixed+2:]),
		TTL:   binary.BigEndian.Uint32(r.buf[fixed+4:]),
		Data:  Ref(fixed + 10),
		Size:  int(binary.BigEndian.Uint16(r.buf[fixed+8:])),
	}
}

// fixed is where the owner of the record at a place ends, and its fields of fixed size begin.
func (r *Reply) fixed(at int) int {
	if r.buf[at] >= 0xc0 {
		return at + 2
	}
	return skipName(r.buf, at)
}

// SetTTL gives every record the same TTL, in seconds.
func (r *Reply) SetTTL(ttl uint32) {
	for _, at := range r.records {
		binary.BigEndian.PutUint32(r.buf[r.fixed(int(at))+4:], ttl)
	}
}

// SetClass gives every record the same class.
func (r *Reply) SetClass(class uint16) {
	for _, at := range r.records {
		binary.BigEndian.PutUint16(r.buf[r.fixed(int(at))+2:], class)
	}
}

// Data is the record's data as it stands in the reply; valid until the reply changes.
func (r *Reply) Data(record Record) []byte { return r.buf[record.Data:][:record.Size] }

// SameName tells whether the name at a place is this name in wire form, without pointers and in whatever spelling.
func (r *Reply) SameName(at Ref, name []byte) bool {
	for i := int(at); ; {
		label, next := r.label(i)
		n := len(label)
		if n == 0 || len(name) < n || !sameLabel(label, name[:n]) {
			return false
		}
		if n == 1 {
			return true
		}
		i, name = next, name[n:]
	}
}

// SameNames tells whether the names at two places are the same but for their spelling.
func (r *Reply) SameNames(a, b Ref) bool {
	i, j := int(a), int(b)
	for range maxLabels {
		one, nextI := r.label(i)
		two, nextJ := r.label(j)
		switch {
		case len(one) == 0 || !sameLabel(one, two):
			return false
		case len(one) == 1 || nextI == nextJ:
			return true
		}
		i, j = nextI, nextJ
	}
	return false
}

// maxLabels is the number of labels in the longest name, the root's included.
const maxLabels = (MaxName + 1) / 2

// label is the label at a place, with its length, and where the next one stands; none where there is no label, as past
// the end or where a pointer leads forward.
func (r *Reply) label(at int) (label []byte, next int) {
	for at+1 < len(r.buf) && r.buf[at] >= 0xc0 {
		target := int(r.buf[at]&0x3f)<<8 | int(r.buf[at+1])
		if target >= at {
			return nil, at
		}
		at = target
	}
	if at >= len(r.buf) || at+1+int(r.buf[at]) > len(r.buf) {
		return nil, at
	}
	next = at + 1 + int(r.buf[at])
	return r.buf[at:next], next
}

// sameLabel compares labels with their lengths; a length is below 'A', so that it has no other case.
func sameLabel(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		if d := b[i]; c != d && lowerByte(c) != lowerByte(d) {
			return false
		}
	}
	return true
}

func lowerByte(c byte) byte {
	if c-'A' < 26 {
		c += 'a' - 'A'
	}
	return c
}
