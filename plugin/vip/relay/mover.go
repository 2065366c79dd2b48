package relay

import (
	"io"
	"net"
	"sync"
)

// mover moves the bytes of one direction of a connection.
//
// What comes in small pieces goes through a buffer. Where a whole buffer was not enough, the kernel moves by itself what has
// queued up: neither connection is wrapped, so that io.CopyN can splice. It is asked for no more than is there, since it
// holds a pipe, which is two file descriptors and up to a megabyte, until it has that.
type mover struct {
	dst, src *net.TCPConn
	in       *receiver
	look     func(fd uintptr)
	queued   int64
}

func newMover(dst, src *net.TCPConn, buffers *sync.Pool) (*mover, error) {
	in, err := newReceiver(src, buffers)
	m := &mover{dst: dst, src: src, in: in}
	m.look = func(fd uintptr) { m.queued = queuedAt(fd) }
	return m, err
}

// move waits for bytes and moves them; the error at their end is io.EOF.
func (m *mover) move() (n int64, err error) {
	data, err := m.in.next()
	if err != nil {
		return 0, err
	}
	defer m.in.release()
	if len(data) == 0 {
		return 0, io.EOF
	}
	written, err := m.dst.Write(data)
	n = int64(written)
	if err != nil || written < bufferSize {
		return n, err
	}
	m.in.release()
	spliced, err := m.splice()
	return n + spliced, err
}

// splice moves what has queued up, as long as that is worth it.
func (m *mover) splice() (n int64, err error) {
	for {
		if err := m.in.raw.Control(m.look); err != nil {
			return n, err
		}
		if m.queued < bufferSize {
			return n, nil
		}
		moved, err := io.CopyN(m.dst, m.src, m.queued)
		n += moved
		if err != nil {
			return n, err
		}
	}
}
