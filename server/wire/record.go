package wire

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
