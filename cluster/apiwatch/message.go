package apiwatch

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// message walks the fields of a protobuf message, whose schema is the generated.proto of the object's API group: those
// numbers are part of the Kubernetes API and never change. What nobody reads is stepped over, not copied.
type message struct {
	rest   []byte
	number int    // of the current field
	bytes  []byte // its content, when it is a string, bytes or a message; shares memory with the input
	value  uint64 // its content, when it is a number
	err    error
}

const ( // protobuf's wire types
	wireVarint = 0
	wireFixed8 = 1
	wireBytes  = 2
	wireFixed4 = 5
)

var errTruncated = errors.New("protobuf message cut short")

// next moves to the next field; false at the end or at an error, which err tells.
func (m *message) next() bool {
	if m.err != nil || len(m.rest) == 0 {
		return false
	}
	tag, ok := m.varint()
	m.number, m.bytes, m.value = int(tag>>3), nil, 0
	if !ok || m.number == 0 {
		return m.fail(errTruncated)
	}
	switch tag & 7 {
	case wireVarint:
		m.value, ok = m.varint()
	case wireBytes:
		var n uint64
		if n, ok = m.varint(); ok {
			m.bytes, ok = m.take(n)
		}
	case wireFixed8:
		_, ok = m.take(8)
	case wireFixed4:
		_, ok = m.take(4)
	default:
		return m.fail(fmt.Errorf("protobuf field %d has wire type %d", m.number, tag&7))
	}
	if !ok {
		return m.fail(errTruncated)
	}
	return true
}

func (m *message) fail(err error) bool {
	m.err = err
	return false
}

func (m *message) varint() (uint64, bool) {
	v, n := binary.Uvarint(m.rest)
	if n <= 0 {
		return 0, false
	}
	m.rest = m.rest[n:]
	return v, true
}

func (m *message) take(n uint64) ([]byte, bool) {
	if n > uint64(len(m.rest)) {
		return nil, false
	}
	taken := m.rest[:n]
	m.rest = m.rest[n:]
	return taken, true
}

// inner is the current field as a message of its own.
func (m *message) inner() message { return message{rest: m.bytes} }

// adopt takes an inner message's error over.
func (m *message) adopt(inner error) {
	if m.err == nil {
		m.err = inner
	}
}

// pair reads the current field as an entry of a map of strings.
func (m *message) pair() (key, value []byte) {
	entry := m.inner()
	for entry.next() {
		switch entry.number {
		case 1:
			key = entry.bytes
		case 2:
			value = entry.bytes
		}
	}
	m.adopt(entry.err)
	return key, value
}
