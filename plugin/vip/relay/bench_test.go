package relay

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/nameplane/nameplane/cluster"
)

// Each benchmark does the same once straight to a backend and once by the relay, in turns, so that what else the machine does
// meets both. It reports the relay's time as a multiple of the other ("x").
func compare(b *testing.B, straight, relayed netip.AddrPort, unit string, do func(at netip.AddrPort) time.Duration) {
	b.Helper()
	var sum [2]time.Duration
	for b.Loop() {
		sum[0] += do(straight)
		sum[1] += do(relayed)
	}
	b.ReportMetric(float64(sum[0].Nanoseconds())/float64(b.N), "direct-ns/"+unit)
	b.ReportMetric(float64(sum[1].Nanoseconds())/float64(b.N), "relay-ns/"+unit)
	b.ReportMetric(float64(sum[1])/float64(sum[0]), "x")
	b.ReportMetric(0, "ns/op")
}

func relayed(b *testing.B, to *backend) netip.AddrPort {
	r, at := newRelay(b, Options{}), virtual(b)
	apply(b, r, service("a", front(at, cluster.TCP, to.addr)))
	return at
}

// BenchmarkBulk is 256 MiB on one connection.
func BenchmarkBulk(b *testing.B) {
	const size = 256 << 20
	chunk := make([]byte, 256<<10)
	source := newBackend(b, func(c *net.TCPConn) {
		defer c.Close()
		for range size / len(chunk) {
			if _, err := c.Write(chunk); err != nil {
				return
			}
		}
	})
	sink := make([]byte, 256<<10)
	compare(b, source.addr, relayed(b, source), "256MiB", func(at netip.AddrPort) time.Duration {
		c := dial(b, at)
		defer c.Close()
		start, sum := time.Now(), 0
		for {
			n, err := c.Read(sink)
			sum += n
			if err == io.EOF && sum == size {
				return time.Since(start)
			}
			if err != nil {
				b.Fatalf("after %d bytes: %v", sum, err)
			}
		}
	})
}

// BenchmarkRequests is 1000 times one byte there and back, on one connection.
func BenchmarkRequests(b *testing.B) {
	echoing := newBackend(b, echo)
	compare(b, echoing.addr, relayed(b, echoing), "1000-requests", func(at netip.AddrPort) time.Duration {
		c := dial(b, at)
		defer c.Close()
		exchange(b, c, "x")
		start := time.Now()
		for range 1000 {
			exchange(b, c, "x")
		}
		return time.Since(start)
	})
}

// BenchmarkConnections is 100 connections, one after the other, of one byte there and back.
func BenchmarkConnections(b *testing.B) {
	answering := newBackend(b, answer)
	compare(b, answering.addr, relayed(b, answering), "100-connections", func(at netip.AddrPort) time.Duration {
		start := time.Now()
		for range 100 {
			if err := short(at); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(start)
	})
}

// BenchmarkDatagrams is 1000 times one datagram there and back, in one flow.
func BenchmarkDatagrams(b *testing.B) {
	server := newDatagrams(b)
	r, at := newRelay(b, Options{}), virtual(b)
	apply(b, r, service("a", front(at, cluster.UDP, server.addr)))
	compare(b, server.addr, at, "1000-datagrams", func(at netip.AddrPort) time.Duration {
		c := client(b, at)
		defer c.Close()
		buf := make([]byte, 100)
		_ = c.SetDeadline(time.Now().Add(patience))
		start := time.Now()
		for range 1000 {
			_, _ = c.Write([]byte("x"))
			if _, err := c.Read(buf); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(start)
	})
}
