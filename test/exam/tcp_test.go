package exam

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/test/peer"
)

// quiet is how long nothing comes before a connection counts as one on which nothing more will.
const quiet = 700 * time.Millisecond

// TestTCP does to connections what clients may do, and what they may not (RFC 7766), on both servers.
func TestTCP(t *testing.T) {
	peer.E2E(t)
	const corefile = ". {\nbind 127.0.0.1\nwhoami\n}\n"
	servers := []string{peer.StartCoreDNS(t, corefile), peer.StartNameplane(t, corefile)}
	query := func(id uint16) []byte {
		m := new(dns.Msg).SetQuestion("www.example.com.", dns.TypeA)
		m.Id = id
		packet, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return packet
	}
	many := func(n int) (stream []byte) {
		for i := range n {
			stream = append(stream, frame(query(uint16(i)))...)
		}
		return stream
	}
	lie := func(claimed int, p []byte) []byte {
		return append(binary.BigEndian.AppendUint16(nil, uint16(claimed)), p...)
	}
	sound := query(7)
	var group sync.WaitGroup
	var mu sync.Mutex
	stories := map[string][2]string{} // guarded by mu
	for _, tc := range []struct {
		name     string
		send     []byte
		piece    int           // bytes at a time; all at once when 0
		half     bool          // the client's side is closed then
		patience time.Duration // quiet when 0
	}{
		{name: "one query", send: frame(sound)},
		{name: "500 queries at once", send: many(500)},
		{name: "20 queries, byte by byte", send: many(20), piece: 1},
		{name: "50 queries in odd pieces", send: many(50), piece: 13},
		{name: "200 queries, then no more", send: many(200), half: true},
		{name: "nothing at all", half: true},
		{name: "empty frame", send: append(lie(0, nil), frame(sound)...)},
		{name: "three empty frames", send: append(make([]byte, 6), frame(sound)...)},
		{name: "frame shorter than a header", send: append(lie(5, sound[:5]), frame(sound)...)},
		{name: "frame of a header", send: append(lie(12, sound[:12]), frame(sound)...)},
		{name: "frame that is cut", send: lie(len(sound)+9, sound), half: true},
		{name: "frame that is cut and stays open", send: lie(len(sound)+9, sound)},
		{name: "length too small", send: append(lie(len(sound)-6, sound), frame(sound)...), half: true},
		{name: "half a length", send: []byte{0}, half: true},
		{name: "noise", send: []byte(strings.Repeat("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", 20)), half: true},
		{name: "idle from the start", patience: 14 * time.Second},
		{name: "idle after a query", send: frame(sound), patience: 14 * time.Second},
		{name: "idle within a frame", send: append(frame(sound), 0, 40, 1), patience: 14 * time.Second},
	} {
		for i, server := range servers {
			group.Go(func() {
				story, err := converse(server, tc.send, tc.piece, tc.half, max(quiet, tc.patience))
				if err != nil {
					t.Errorf("%s: %v", tc.name, err)
				}
				mu.Lock()
				defer mu.Unlock()
				both := stories[tc.name]
				both[i] = story
				stories[tc.name] = both
			})
		}
	}
	group.Wait()
	for name, both := range stories {
		if both[0] != both[1] {
			t.Errorf("%s:\ncoredns:   %.300s\nnameplane: %.300s", name, both[0], both[1])
		}
		t.Logf("%s: %.60s", name, both[1])
	}
}

// converse sends a stream and tells what came back: the replies, in the order of their IDs, and how the connection
// ended, with the time in seconds where the server ended it by itself.
func converse(server string, stream []byte, piece int, half bool, patience time.Duration) (string, error) {
	conn, err := net.Dial("tcp4", server)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	begin := time.Now()
	sent := make(chan error, 1)
	go func() { sent <- send(conn.(*net.TCPConn), stream, piece, half) }()
	var replies []string
	end := ""
	for end == "" {
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return "", err
		}
		reply, err := readFrame(conn)
		switch {
		case err == nil:
			m := new(dns.Msg)
			if err := m.Unpack(reply); err != nil {
				return "", fmt.Errorf("reply %x: %w", reply, err)
			}
			replies = append(replies, fmt.Sprintf("%05d %s %d", m.Id, dns.RcodeToString[m.Rcode], len(m.Extra)))
		case isTimeout(err):
			end = "open"
		case half:
			end = "closed"
		default:
			end = fmt.Sprintf("closed after %.0f s", time.Since(begin).Seconds())
		}
	}
	slices.Sort(replies)
	<-sent // the server may have closed before it was through: the story says so
	return fmt.Sprintf("%d replies, then %s: %s", len(replies), end, strings.Join(replies, ", ")), nil
}

func send(conn *net.TCPConn, stream []byte, piece int, half bool) error {
	if piece == 0 {
		piece = max(1, len(stream))
	}
	if err := conn.SetNoDelay(true); err != nil {
		return err
	}
	for part := range slices.Chunk(stream, piece) {
		if _, err := conn.Write(part); err != nil {
			return err
		}
	}
	if half {
		return conn.CloseWrite()
	}
	return nil
}
