package vip

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin/vip/plan"
	"github.com/nameplane/nameplane/test/block"
)

// many is a loop that forwards so many services, without a plane; change changes one of them.
func many(t testing.TB, size int) (l *loop, change func()) {
	t.Helper()
	env := block.NewEnv(new(block.Buffer))
	m, err := newMetrics(env.Metrics, &forwarder{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	store, writer := cluster.NewStore()
	v := &instance{VIP: &VIP{lease: &cluster.Lease{Store: store, Writer: writer}}}
	for i := range size {
		v.webAt(fmt.Sprintf("s%d", i), netip.AddrFrom4([4]byte{10, 96, byte(i >> 8), byte(i)}), "10.1.0.1", "10.1.0.2")
	}
	writer.Expect("test")
	l = newLoop(modePlan, planned{}, order{
		policy: &plan.Policy{ProxyName: "nameplane"}, store: store, writer: writer, metrics: m, log: env.Log, now: time.Now,
	})
	l.step(t.Context())
	if got := l.ledger.totals().services; got != size {
		t.Fatalf("%d services are forwarded, want %d", got, size)
	}
	t.Cleanup(l.close)
	n := 0
	return l, func() {
		n++
		v.slice("s7", time.Time{}, "10.1.0.1", fmt.Sprintf("10.1.1.%d", n%250))
		l.pass(t.Context())
	}
}

// What a change costs must not depend on how many services there are.
func TestPassCost(t *testing.T) {
	_, few := many(t, 20)
	_, lots := many(t, 2000)
	if few, lots := testing.AllocsPerRun(100, few), testing.AllocsPerRun(100, lots); lots > few+10 {
		t.Errorf("%v allocations with 2000 services, %v with 20", lots, few)
	}
}

// BenchmarkPass is a pass over one changed service, without what the plane does.
func BenchmarkPass(b *testing.B) {
	for _, size := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("services=%d", size), func(b *testing.B) {
			_, change := many(b, size)
			for b.Loop() {
				change()
			}
		})
	}
}
