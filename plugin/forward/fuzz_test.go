package forward

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// FuzzTarget: whatever an operator writes is an upstream or an error.
func FuzzTarget(f *testing.F) {
	for _, text := range []string{"192.0.2.1", "[2001:db8::1%dns.example]:853", "tls://1.2.3.4%a:1", "dns://ns.example.", "a:b:c", "%", "tls://%:", "..", "[", "https://x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		target, err := parseTarget(text, func(string) bool { return false })
		if err != nil {
			return
		}
		if target.port == 0 || target.addr.IsValid() == (target.host != "") {
			t.Errorf("%q: %+v", text, target)
		}
	})
}

// FuzzStream: packets come out as they went in, however the bytes between are cut into reads.
func FuzzStream(f *testing.F) {
	f.Add([]byte("first"), []byte(""), uint16(1))
	f.Add(bytes.Repeat([]byte{7}, 9000), []byte("x"), uint16(4096))
	f.Add(bytes.Repeat([]byte{1}, 65535), bytes.Repeat([]byte{2}, 12), uint16(13))
	f.Fuzz(func(t *testing.T, one, two []byte, step uint16) {
		want := [][]byte{one[:min(len(one), maxMessage)], two[:min(len(two), maxMessage)], one[:min(len(one), maxMessage)]}
		var sent []byte
		for _, packet := range want {
			sent = append(binary.BigEndian.AppendUint16(sent, uint16(len(packet))), packet...)
		}
		in := stream{buffer: make([]byte, leastRoom)}
		got := 0
		for len(sent) > 0 {
			space := in.space()
			if len(space) == 0 {
				t.Fatal("no room to read into")
			}
			n := copy(space, sent[:min(len(sent), int(step)+64)])
			sent, in.filled = sent[n:], in.filled+n
			for packet := in.next(); packet != nil; packet = in.next() {
				if got == len(want) || !bytes.Equal(packet, want[got]) {
					t.Fatalf("packet %d has %d bytes", got, len(packet))
				}
				got++
			}
			in.shift()
		}
		if got != len(want) || in.filled != 0 || len(in.buffer) > 2+maxMessage {
			t.Errorf("%d packets, %d bytes left, buffer of %d", got, in.filled, len(in.buffer))
		}
	})
}
