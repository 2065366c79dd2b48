package bench

import (
	"bytes"
	"encoding/binary"
	"net"
	"runtime"

	"testing"

	"golang.org/x/sys/unix"
)

// echo is an upstream on loopback that answers every question with one address, as fast as one thread can, until the
// benchmark ends. It keeps to the second processor, where the generator is, and does as little as possible there: what it
// costs, the generator loses.
func echo(b *testing.B) (address string) {
	b.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	_ = conn.SetReadBuffer(4 << 20) // as much as the system gives
	done := make(chan struct{})
	b.Cleanup(func() {
		conn.Close()
		<-done
	})
	go func() {
		defer close(done)
		runtime.LockOSThread() // not unlocked: the thread, and where it may run, ends with the goroutine
		second := new(unix.CPUSet)
		second.Set(1)
		_ = unix.SchedSetaffinity(0, second) // a machine of one processor measures on it
		buffer := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			if reply := echoed(buffer, n); reply != nil {
				_, _ = conn.WriteToUDPAddrPort(reply, from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

// echoed makes the query in the first n bytes its reply; nil for what is no query.
func echoed(buffer []byte, n int) []byte {
	end := 12 + 1 + bytes.IndexByte(buffer[12:max(n, 12)], 0) + 4
	if n < 17 || end > n || end == 16 {
		return nil
	}
	buffer[2], buffer[3] = 0x84|buffer[2]&1, 0x80 // QR, AA, RD as it came; RA
	for at, count := range []uint16{1, 1, 0, 0} {
		binary.BigEndian.PutUint16(buffer[4+2*at:], count)
	}
	return append(buffer[:end], 0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 192, 0, 2, 1)
}
