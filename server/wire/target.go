package wire

// targets remembers where names in record data stand, so that later names can point there. It is small on purpose: a
// reply of many names is a list of one service's, and they share the last few.
type targets struct {
	n  int
	at [16]uint16
}

// Name appends to the open record's data a name in wire form, compressed against the question and against earlier names
// of the reply (RFC 1035, section 4.1.4). It is for record types whose data may be compressed: CNAME, NS, PTR, MX, SOA
// (RFC 3597, section 4). The result is the name's place.
func (r *Reply) Name(name []byte) Ref {
	start := Ref(len(r.buf))
	for at := 0; ; at += 1 + int(name[at]) {
		if name[at] == 0 {
			r.buf = append(r.buf, 0)
			return start
		}
		if ref, ok := r.find(name[at:]); ok {
			r.pointer(ref)
			if at == 0 {
				return ref
			}
			return start
		}
		r.remember(len(r.buf))
		r.buf = append(r.buf, name[at:at+1+int(name[at])]...)
	}
}

func (r *Reply) remember(at int) {
	if at >= 1<<14 {
		return
	}
	r.targets.at[r.targets.n%len(r.targets.at)] = uint16(at)
	r.targets.n++
}

// find is the place where a suffix stands already.
func (r *Reply) find(suffix []byte) (Ref, bool) {
	for at := headerSize; at < r.body && r.buf[at] != 0; at += 1 + int(r.buf[at]) {
		if r.equal(at, suffix) {
			return Ref(at), true
		}
	}
	for i := range min(r.targets.n, len(r.targets.at)) {
		if at := int(r.targets.at[i]); r.equal(at, suffix) {
			return Ref(at), true
		}
	}
	return 0, false
}

// equal tells whether the name at a place, pointers followed, is name to the letter: another spelling must not come
// back in its place. The name at the place may be the one that is just being written, and end where the buffer ends.
func (r *Reply) equal(at int, name []byte) bool {
	for {
		for at < len(r.buf) && r.buf[at] >= 0xc0 {
			at = int(r.buf[at]&0x3f)<<8 | int(r.buf[at+1])
		}
		if at >= len(r.buf) {
			return false
		}
		n := 1 + int(r.buf[at])
		if len(name) < n || at+n > len(r.buf) || string(r.buf[at:at+n]) != string(name[:n]) {
			return false
		}
		if n == 1 {
			return true
		}
		at, name = at+n, name[n:]
	}
}
