package exam

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
)

const (
	udpTries   = 4 // of a question whose reply did not come: loopback loses packets when a buffer is full
	udpTimeout = 1500 * time.Millisecond
	tcpTimeout = 10 * time.Second
)

// asker puts one question after the other to one server.
type asker struct {
	server   string // address
	udp, tcp net.Conn
}

func (a *asker) close() {
	for _, conn := range []net.Conn{a.udp, a.tcp} {
		if conn != nil {
			conn.Close()
		}
	}
}

// ask returns the packet that answers packet over proto, "udp" or "tcp".
func (a *asker) ask(proto string, packet []byte) ([]byte, error) {
	if proto == "tcp" {
		reply, err := a.askTCP(packet)
		if err != nil { // the server may have closed an idle connection
			reply, err = a.askTCP(packet)
		}
		return reply, err
	}
	return a.askUDP(packet)
}

func (a *asker) askUDP(packet []byte) ([]byte, error) {
	if a.udp == nil {
		conn, err := net.Dial("udp4", a.server)
		if err != nil {
			return nil, err
		}
		a.udp = conn
	}
	for range udpTries {
		if _, err := a.udp.Write(packet); err != nil {
			return nil, err
		}
		reply, err := receive(a.udp, binary.BigEndian.Uint16(packet), time.Now().Add(udpTimeout))
		if err == nil {
			return reply, nil
		}
		if !isTimeout(err) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("no reply to %d datagrams", udpTries)
}

// receive waits for the datagram with an ID; a late reply to an earlier question has another.
func receive(conn net.Conn, id uint16, deadline time.Time) ([]byte, error) {
	if err := conn.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	buffer := make([]byte, dns.MaxMsgSize)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return nil, err
		}
		if n >= 2 && binary.BigEndian.Uint16(buffer) == id {
			return buffer[:n:n], nil
		}
	}
}

func (a *asker) askTCP(packet []byte) (reply []byte, err error) {
	if a.tcp == nil {
		if a.tcp, err = net.Dial("tcp4", a.server); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			a.tcp.Close()
			a.tcp = nil
		}
	}()
	if err := a.tcp.SetDeadline(time.Now().Add(tcpTimeout)); err != nil {
		return nil, err
	}
	if _, err := a.tcp.Write(frame(packet)); err != nil {
		return nil, err
	}
	return readFrame(a.tcp)
}

// frame is a packet with its length before it (RFC 1035, section 4.2.2).
func frame(packet []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
}

func readFrame(r io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	packet := make([]byte, binary.BigEndian.Uint16(head[:]))
	_, err := io.ReadFull(r, packet)
	return packet, err
}

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) && netErr.Timeout()
}

// pair asks both servers the same at the same time.
type pair struct{ theirs, ours asker }

func newPair(theirs, ours string) *pair {
	return &pair{theirs: asker{server: theirs}, ours: asker{server: ours}}
}

func (p *pair) close() {
	p.theirs.close()
	p.ours.close()
}

func (p *pair) ask(proto string, packet []byte) (theirs, ours []byte, err error) {
	var group errgroup.Group
	group.Go(func() (err error) {
		theirs, err = p.theirs.ask(proto, packet)
		return wrap("coredns", err)
	})
	group.Go(func() (err error) {
		ours, err = p.ours.ask(proto, packet)
		return wrap("nameplane", err)
	})
	err = group.Wait()
	return theirs, ours, err
}

func wrap(who string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", who, err)
}
