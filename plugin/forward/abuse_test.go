package forward

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

// misbehave is an upstream that never gives a usable reply, each time for another reason.
func misbehave(q *query) {
	good := packed(q.reply(dns.RcodeSuccess, q.msg().Question[0].Name+" 5 IN A 192.0.2.1"))
	switch rand.IntN(10) {
	case 0: // nothing
	case 1:
		q.send(slices.Repeat([]byte{0xff}, rand.IntN(600)))
	case 2: // the right ID, and noise
		q.send(append(slices.Clone(q.packet[:2]), slices.Repeat([]byte{0xc0}, 100)...))
	case 3: // for another name
		copy(good[headerSize+1:], "evil")
		q.send(good)
	case 4: // another ID
		good[0] ^= 0xff
		q.send(good)
	case 5:
		q.send(good[:len(good)-1-rand.IntN(15)]) // within the record: a count without records passes for NODATA, as with miekg/dns
	case 6:
		q.send(q.packet)
	case 7:
		if q.cut != nil {
			q.cut(append(binary.BigEndian.AppendUint16(nil, uint16(len(good))), good[:len(good)/2]...))
		}
	case 8:
		if q.cut != nil {
			q.send(bytes.Repeat([]byte{0}, dns.MaxMsgSize))
		}
	case 9: // late
		time.AfterFunc(time.Second, func() { q.send(good) })
	}
}

// TestNothingIsKept: after ten thousand exchanges that went wrong there are no more goroutines, flights, links and bytes
// than before.
func TestNothingIsKept(t *testing.T) {
	const exchanges, workers = 10_000, 100
	s := newServer(t, misbehave)
	h, _, _ := built(t, ". "+s.addr, "read_timeout 40ms", "max_connect_attempts 1", "max_fails 0", "expire 50ms")
	u := only(h)
	before, goroutines := heap(), runtime.NumGoroutine()
	var tasks sync.WaitGroup
	for worker := range workers {
		tasks.Go(func() {
			for n := range exchanges / workers {
				x := block.NewExchange(t, fmt.Sprintf("n%d.w%d.example.org.", n, worker), dns.TypeA) // none is shared
				x.Transport = plugin.Transport(n % 2)
				start := time.Now()
				if _, err := send(t, h, x); err == nil {
					t.Error("a reply was made of nothing")
				}
				if took := time.Since(start); took > 5*time.Second {
					t.Errorf("took %v", took)
				}
			}
		})
	}
	tasks.Wait()
	eventually(t, "all links are closed", func() bool { return u.udp.count() == 0 && u.tcp.count() == 0 })
	s.closeConns()
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines+5 })
	s.mu.Lock()
	s.ports, s.names, s.conns = map[string][]string{}, nil, nil // what the upstream remembers is its own affair
	s.mu.Unlock()
	var after uint64
	for range 3 {
		after = heap()
	}
	if after > before+1<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before, after)
	}
	if n := len(h.forwards[0].sharing.open); n != 0 {
		t.Errorf("%d exchanges are still shared", n)
	}
}

// heap is the size of what is alive.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // what pools held goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestDeadUpstreamCostsTheFirst: of queries to two upstreams of which one is silent, only those wait that find it out.
func TestDeadUpstreamCostsTheFirst(t *testing.T) {
	t.Parallel()
	dead, good := newServer(t, silent), marked(t, "good")
	for _, policy := range []string{"random", "round_robin", "sequential"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			h, _, _ := built(t, ". "+dead.addr+" "+good.addr, "policy "+policy, "read_timeout 300ms")
			running(t, h)
			slow := 0
			for range 200 {
				start := time.Now()
				if got := by(mustAsk(t, h, "www.example.org.")); got != "good" {
					t.Fatalf("answered by %s", got)
				}
				if time.Since(start) > 100*time.Millisecond {
					slow++
				}
			}
			if slow > 3 {
				t.Errorf("%d of 200 queries waited", slow)
			}
		})
	}
}
