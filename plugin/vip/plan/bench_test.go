package plan

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"github.com/nameplane/nameplane/cluster"
)

// crowd is a cluster of n services with endpoints each, as a plan gets them.
func crowd(n, endpoints int) (w *world, records []*cluster.Service) {
	w = newWorld()
	pod := netip.MustParseAddr("10.128.0.1")
	for i := range n {
		s := cluster.SliceSpec{Ports: ports("http:8080")}
		for j := range endpoints {
			s.Endpoints = append(s.Endpoints, cluster.EndpointSpec{Addr: cluster.AddrFrom(pod), Place: &cluster.Place{Node: fmt.Sprintf("n%d", (i+j)%100)}})
			pod = pod.Next()
		}
		records = append(records, w.service(web(func(sp *spec) {
			sp.Name = fmt.Sprintf("s%d", i)
			sp.ClusterIPs = []cluster.Addr{cluster.AddrFrom(netip.AddrFrom4([4]byte{10, 96, byte(i >> 8), byte(i)}))}
		}), s))
	}
	return w, records
}

func BenchmarkFirstPlan(b *testing.B) {
	_, records := crowd(10_000, 4)
	for b.Loop() {
		s := NewState(testPolicy(), testNode())
		for _, svc := range records {
			s.Put(svc)
		}
	}
}

// What a plan costs beside the store, in bytes for each service.
func BenchmarkMemory(b *testing.B) {
	_, records := crowd(10_000, 4)
	for b.Loop() {
		before := heap()
		s := NewState(testPolicy(), testNode())
		for _, svc := range records {
			s.Put(svc)
		}
		b.ReportMetric(float64(heap()-before)/float64(len(records)), "B/service")
		runtime.KeepAlive(s)
	}
	runtime.KeepAlive(records)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// An endpoint comes and goes: the cost must not depend on how many services there are.
func BenchmarkChange(b *testing.B) {
	for _, size := range []struct{ services, endpoints int }{{100, 4}, {10_000, 4}, {1, 5_000}} {
		b.Run(fmt.Sprintf("services=%d/endpoints=%d", size.services, size.endpoints), func(b *testing.B) {
			w, records := crowd(size.services, size.endpoints)
			s := NewState(testPolicy(), testNode())
			for _, svc := range records {
				s.Put(svc)
			}
			one := records[0]
			sl := slice("http:8080", "10.1.0.9@n1")
			sl.Namespace, sl.Service, sl.Name, sl.Backends = one.Namespace(), one.Name(), "more", true
			w.writer.PutSlice(&sl)
			two := w.store.Service([]byte(one.Key()))
			for i := 0; b.Loop(); i++ {
				if changed := s.Put([]*cluster.Service{two, one}[i%2]); len(changed) != 1 {
					b.Fatalf("%d services changed", len(changed))
				}
			}
		})
	}
}

// What changes nothing for this node: an endpoint that was not ready is not there any more.
func BenchmarkNoChange(b *testing.B) {
	_, records := crowd(10_000, 4)
	s := NewState(testPolicy(), testNode())
	for _, svc := range records {
		s.Put(svc)
	}
	for i := 0; b.Loop(); i++ {
		if changed := s.Put(records[i%len(records)]); len(changed) != 0 {
			b.Fatalf("%d services changed", len(changed))
		}
	}
}

// The node's zone became another one: every service is looked at.
func BenchmarkSetNode(b *testing.B) {
	_, records := crowd(10_000, 4)
	s := NewState(testPolicy(), testNode())
	for _, svc := range records {
		s.Put(svc)
	}
	other := testNode()
	other.Zone = "b"
	nodes := []*cluster.Node{other, testNode()}
	for i := 0; b.Loop(); i++ {
		s.SetNode(nodes[i%2])
	}
}

func BenchmarkExplain(b *testing.B) {
	_, records := crowd(10_000, 4)
	s := NewState(testPolicy(), testNode())
	for _, svc := range records {
		s.Put(svc)
	}
	key, client := s.All()[5].Frontends[0].Key, netip.MustParseAddr("10.1.0.1")
	for b.Loop() {
		s.Explain(key, client)
	}
}
