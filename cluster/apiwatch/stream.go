package apiwatch

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// biggest is the size of an object, in bytes, past which a stream is taken to be garbled: etcd refuses 1.5 MiB, the API
// server 3 MiB.
const biggest = 16 << 20

// magic begins every Kubernetes object in protobuf.
var magic = [4]byte{'k', '8', 's', 0}

// event is one event of a watch. The object shares memory with the stream's buffer: it counts until the next event.
type event struct {
	kind   string // ADDED, MODIFIED, DELETED, BOOKMARK, ERROR
	object []byte
}

// events reads a watch: frames, each four bytes of length in network order and a WatchEvent.
type events struct {
	r      *bufio.Reader
	buffer buffer
}

func newEvents(r io.Reader) *events { return &events{r: bufio.NewReaderSize(r, 16<<10)} }

// next is the next event; io.EOF when the server ended the watch between two.
func (s *events) next() (event, error) {
	var head [4]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		return event{}, err
	}
	frame, err := s.buffer.fill(s.r, uint64(binary.BigEndian.Uint32(head[:])))
	if err != nil {
		return event{}, err
	}
	return decodeEvent(frame)
}

func decodeEvent(frame []byte) (e event, err error) {
	m := message{rest: frame}
	for m.next() {
		switch m.number {
		case 1:
			e.kind = eventKind(m.bytes)
		case 2:
			raw := m.inner()
			for raw.next() {
				if raw.number == 1 {
					e.object, err = unwrap(raw.bytes)
					m.adopt(err)
				}
			}
			m.adopt(raw.err)
		}
	}
	if m.err == nil && (e.kind == "" || e.object == nil) {
		m.err = errors.New("watch event without a type or an object")
	}
	return e, m.err
}

// eventKind is b without a copy for those that come all the time.
func eventKind(b []byte) string {
	switch string(b) {
	case "ADDED":
		return "ADDED"
	case "MODIFIED":
		return "MODIFIED"
	}
	return string(b)
}

// unwrap is the object within the envelope runtime.Unknown.
func unwrap(b []byte) (object []byte, err error) {
	if !bytes.HasPrefix(b, magic[:]) {
		return nil, fmt.Errorf("an object begins with %q instead of %q", b[:min(len(b), 4)], magic)
	}
	object = []byte{}
	m := message{rest: b[len(magic):]}
	for m.next() {
		switch {
		case m.number == 2:
			object = m.bytes
		case m.number == 3 && len(m.bytes) > 0:
			m.err = fmt.Errorf("an object has the encoding %q, which was not asked for", m.bytes)
		}
	}
	return object, m.err
}

// items reads a list one object at a time, as the whole is many times the size of what is kept of it. It returns the
// list's resourceVersion.
func items(body io.Reader, each func(object []byte) error) (version string, err error) {
	l := list{r: bufio.NewReaderSize(body, 16<<10), each: each}
	var head [len(magic)]byte
	if _, err := io.ReadFull(l.r, head[:]); err != nil {
		return "", cut(err)
	}
	if head != magic {
		return "", fmt.Errorf("a list begins with %q instead of %q", head, magic)
	}
	for {
		number, size, err := l.field()
		switch {
		case errors.Is(err, io.EOF) && !l.whole:
			return "", io.ErrUnexpectedEOF
		case errors.Is(err, io.EOF):
			return l.version, nil
		case err != nil:
			return "", err
		case number == 2:
			err = l.read(size)
		default:
			err = l.skip(size)
		}
		if err != nil {
			return "", cut(err)
		}
	}
}

// list is the reader of one list.
type list struct {
	r       *bufio.Reader
	each    func(object []byte) error
	buffer  buffer
	version string
	whole   bool // the list's bytes were read to their end
}

// field reads a field's tag and length; of the messages on the way to an object, all fields have one.
func (l *list) field() (number int, size uint64, err error) {
	tag, err := binary.ReadUvarint(l.r)
	if err != nil {
		return 0, 0, err
	}
	if tag&7 != wireBytes {
		return 0, 0, fmt.Errorf("protobuf field %d of a list has wire type %d", tag>>3, tag&7)
	}
	size, err = binary.ReadUvarint(l.r)
	return int(tag >> 3), size, cut(err)
}

// read walks the fields of a ServiceList or the like, of size bytes.
func (l *list) read(size uint64) error {
	if size > 1<<40 {
		return fmt.Errorf("a list of %d bytes", size)
	}
	outer := l.r
	limited := &io.LimitedReader{R: outer, N: int64(size)}
	l.r = bufio.NewReaderSize(limited, 16<<10)
	for {
		number, size, err := l.field()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := l.element(number, size); err != nil {
			return err
		}
	}
	if limited.N > 0 {
		return io.ErrUnexpectedEOF
	}
	l.r, l.whole = outer, true
	return nil
}

func (l *list) element(number int, size uint64) error {
	content, err := l.buffer.fill(l.r, size)
	if err != nil {
		return err
	}
	switch number {
	case 1:
		m := message{rest: content}
		for m.next() {
			if m.number == 2 {
				l.version = string(m.bytes)
			}
		}
		return m.err
	case 2:
		return l.each(content)
	}
	return nil
}

func (l *list) skip(size uint64) error {
	_, err := io.CopyN(io.Discard, l.r, int64(min(size, biggest)))
	return err
}

// buffer is memory for one object after the other.
type buffer []byte

// fill reads n bytes. What a rare big object needed is not kept for ever.
func (b *buffer) fill(r io.Reader, n uint64) ([]byte, error) {
	const usual = 64 << 10
	if n > biggest {
		return nil, fmt.Errorf("an object of %d bytes in the stream: more than %d are garbage", n, biggest)
	}
	if uint64(cap(*b)) < n || cap(*b) > usual && n <= usual {
		*b = make([]byte, max(n, 4<<10))
	}
	content := (*b)[:n]
	_, err := io.ReadFull(r, content)
	return content, cut(err)
}

// cut turns an end within an object into what it is.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
