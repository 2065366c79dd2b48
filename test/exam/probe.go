package exam

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/miekg/dns"
)

const (
	// settle is how long after the reply to a sound question one to a malformed packet before it is waited for.
	settle = 30 * time.Millisecond
	doubt  = 400 * time.Millisecond // the same, where the servers seem to differ
)

// provoke sends a packet, and a sound question after it so as to know when there is nothing to wait for. It returns
// the reply to the packet, nil for none; an error means that the sound question stayed unanswered.
func provoke(server, proto string, p []byte, patience time.Duration) ([]byte, error) {
	if proto == "tcp" {
		return provokeTCP(server, p, patience)
	}
	conn, err := net.Dial("udp4", server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	marker, id := markerFor(p)
	var reply []byte
	for range udpTries {
		if reply == nil {
			if _, err := conn.Write(p); err != nil {
				return nil, err
			}
		}
		if _, err := conn.Write(marker); err != nil {
			return nil, err
		}
		answered := false
		for deadline := time.Now().Add(udpTimeout); ; {
			got, err := readDatagram(conn, deadline)
			if err != nil {
				break
			}
			if len(got) >= 2 && binary.BigEndian.Uint16(got) == id {
				answered = true
				deadline = time.Now().Add(patience)
			} else {
				reply = got
			}
			if answered && reply != nil {
				return reply, nil
			}
		}
		if answered {
			return reply, nil
		}
	}
	return nil, errors.New("no reply to the sound question behind it")
}

func readDatagram(conn net.Conn, deadline time.Time) ([]byte, error) {
	if err := conn.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	buffer := make([]byte, dns.MaxMsgSize)
	n, err := conn.Read(buffer)
	return buffer[:n:n], err
}

// provokeTCP does the same on one connection. A connection that the server closes gives the reply "closed".
func provokeTCP(server string, p []byte, patience time.Duration) ([]byte, error) {
	conn, err := net.Dial("tcp4", server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	marker, id := markerFor(p)
	if _, err := conn.Write(append(frame(p), frame(marker)...)); err != nil {
		return nil, err
	}
	var reply []byte
	answered := false
	deadline := time.Now().Add(tcpTimeout)
	for !answered || reply == nil {
		if err := conn.SetReadDeadline(deadline); err != nil {
			return nil, err
		}
		got, err := readFrame(conn)
		if err != nil && isTimeout(err) && answered {
			break
		}
		if err != nil {
			return append(reply, "closed"...), nil
		}
		if len(got) >= 2 && binary.BigEndian.Uint16(got) == id {
			answered = true
			deadline = time.Now().Add(patience)
		} else {
			reply = got
		}
	}
	return reply, nil
}

// markerFor is a sound question with an ID that p does not have.
func markerFor(p []byte) (marker []byte, id uint16) {
	id = 0x5a5a
	if len(p) >= 2 {
		id ^= binary.BigEndian.Uint16(p) | 1
	}
	if id == 0 {
		id = 0x1234
	}
	marker = binary.BigEndian.AppendUint16(nil, id)
	return append(marker, "\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01"...), id
}

// rawDifference is in what two replies to a malformed packet differ, "" when they don't.
func rawDifference(theirs, ours []byte) string {
	if bytes.Equal(theirs, ours) {
		return ""
	}
	if theirs == nil || ours == nil {
		return "silence"
	}
	a, b := new(dns.Msg), new(dns.Msg)
	errA, errB := a.Unpack(theirs), b.Unpack(ours)
	if errA != nil || errB != nil {
		return fmt.Sprintf("bytes (%v, %v)", errA, errB)
	}
	if parts := (view{}).compare(a, b); len(parts) > 0 {
		return fmt.Sprint(parts)
	}
	return ""
}
