//go:build linux

package nftables

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// many are n services with four endpoints each, half of whom change with the round.
func many(n, round int) (all []*plan.Service) {
	at := func(net byte, i int, port uint16) netip.AddrPort {
		a := [4]byte{net}
		binary.BigEndian.PutUint32(a[:], uint32(net)<<24+uint32(i))
		return netip.AddrPortFrom(netip.AddrFrom4(a), port)
	}
	for i := range n {
		vip := at(100, i, 80)
		target := plan.Target{Backends: []netip.AddrPort{
			at(10, 4*i, 8080), at(10, 4*i+1, 8080), at(11+byte(round), 4*i, 8080), at(11+byte(round), 4*i+1, 8080),
		}}
		all = append(all, named(fmt.Sprintf("s-%d", i), plan.Frontend{
			Key: plan.Key{Addr: vip.Addr(), Port: vip.Port(), Protocol: cluster.TCP}, Inside: target,
		}))
	}
	return all
}

// BenchmarkLoad is what n services with four endpoints each cost: to load them into an empty table, to find them there as
// they are, to change one, and to look after them.
func BenchmarkLoad(b *testing.B) {
	if !inNamespace(b) {
		return
	}
	for _, n := range []int{1000, 10_000, 30_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for range b.N {
				load(b, n)
			}
		})
	}
}

func load(b *testing.B, n int) {
	if _, err := Cleanup(b.Context()); err != nil {
		b.Fatal(err)
	}
	plane, err := Open(b.Context(), nil)
	if err != nil {
		b.Fatal(err)
	}
	measure := func(unit string, times int, do func(round int) error) {
		start := time.Now()
		for i := range times {
			if err := do(i); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(time.Since(start).Microseconds())/1000/float64(times), unit)
	}
	policy, all, changed := testPolicy(), many(n, 0), many(10, 1)
	measure("ms-cold", 1, func(int) error { return plane.Adopt(b.Context(), policy, all) })
	measure("ms-restart", 1, func(int) error { return plane.Adopt(b.Context(), policy, all) })
	measure("ms-change", 10, func(round int) error { return plane.Apply(b.Context(), changed[round:round+1]) })
	measure("ms-check", 10, func(int) error { return plane.Check(b.Context()) })
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "MiB-heap")
	b.ReportMetric(float64(m.Sys)/(1<<20), "MiB-sys")
	var children unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &children); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(children.Maxrss)/1024, "MiB-nft") // the largest of all up to now
	runtime.KeepAlive(all)
	runtime.KeepAlive(plane)
}
