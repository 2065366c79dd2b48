package forward

import (
	"encoding/binary"
	"errors"
	"io"
)

// stream is what was read of a connection and not used yet: packets behind their lengths (RFC 1035, section 4.2.2).
type stream struct {
	buffer []byte
	filled int
	taken  int
}

// space is where the next bytes go: all of a packet fits.
func (s *stream) space() []byte {
	if need := s.need(); need > len(s.buffer) {
		s.buffer = append(s.buffer, make([]byte, need-len(s.buffer))...)
	}
	return s.buffer[s.filled:]
}

// need is the length of the frame at the beginning, if so much is known.
func (s *stream) need() int {
	if s.filled < 2 {
		return 0
	}
	return 2 + int(binary.BigEndian.Uint16(s.buffer))
}

// next is the next whole packet; nil when there is none. It is valid until shift.
func (s *stream) next() []byte {
	left := s.buffer[s.taken:s.filled]
	if len(left) < 2 {
		return nil
	}
	end := 2 + int(binary.BigEndian.Uint16(left))
	if len(left) < end {
		return nil
	}
	s.taken += end
	return left[2:end:end]
}

// shift moves what is left to the beginning. A buffer that one large packet made is not kept.
func (s *stream) shift() {
	if s.taken == 0 {
		return
	}
	left := s.buffer[s.taken:s.filled]
	if len(s.buffer) > mostKept && len(left) <= leastRoom {
		s.buffer = append(make([]byte, 0, leastRoom), left...)[:leastRoom]
	} else {
		copy(s.buffer, left)
	}
	s.filled, s.taken = len(left), 0
}

// cause tells an end within a packet from one between two.
func (s *stream) cause(err error) error {
	if errors.Is(err, io.EOF) && s.filled > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}
