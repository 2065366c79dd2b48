package forward

import (
	"encoding/binary"
	"errors"
	"io"
	"syscall"
)

// udp sends the query and waits for its reply. The socket is connected, so the system lets in what comes from the
// upstream's address and port only; what is not the reply is passed over until the deadline (RFC 5452, section 9.1). A
// read error ends the flight: reading on after one could spin.
func (f *flight) udp(p *pool) error {
	c, _, err := p.get(f.deadline)
	if err != nil {
		return err
	}
	if err := f.overUDP(c); err != nil {
		c.Close()
		return err
	}
	p.put(c)
	return nil
}

func (f *flight) overUDP(c *conn) error {
	if err := c.SetDeadline(f.deadline); err != nil {
		return err
	}
	if _, err := c.Write(f.frame[2:]); err != nil {
		return err
	}
	for {
		n, err := c.Read(f.reply)
		if err != nil {
			return err
		}
		if f.arrived(f.reply[:n]) {
			return nil
		}
	}
}

// tcp does it on a connection (RFC 7766). One that was used before may have been closed by the upstream meanwhile,
// which shows only now; then a new one is opened, once.
func (f *flight) tcp(p *pool) error {
	c, used, err := p.get(f.deadline)
	if err != nil {
		return err
	}
	err = f.overTCP(c)
	if err != nil && used && closedByPeer(err) {
		c.Close()
		if c, err = p.dial(f.deadline); err != nil {
			return err
		}
		err = f.overTCP(c)
	}
	if err != nil {
		c.Close()
		return err
	}
	p.put(c)
	return nil
}

func closedByPeer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func (f *flight) overTCP(c *conn) error {
	if err := c.SetDeadline(f.deadline); err != nil {
		return err
	}
	if _, err := c.Write(f.frame); err != nil {
		return err
	}
	for {
		f.grow(2)
		if _, err := io.ReadFull(c, f.reply); err != nil {
			return err
		}
		f.grow(int(binary.BigEndian.Uint16(f.reply)))
		if _, err := io.ReadFull(c, f.reply); err != nil {
			return unexpected(err)
		}
		if f.arrived(f.reply) {
			return nil
		}
	}
}

// unexpected keeps an end within a reply from being taken for one between replies.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
