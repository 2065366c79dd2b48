package cluster

import (
	"fmt"
	"runtime"
	"testing"
)

// fill makes a cluster of n services with each endpoints: the size that the benchmarks and budgets are about.
func fill(w *Writer, n, each int, needs Needs) {
	for i := range n {
		name, namespace := fmt.Sprint("service-", i), fmt.Sprint("namespace-", i%50)
		w.PutNamespace(namespace)
		service := &ServiceSpec{
			Namespace: namespace, Name: name, Type: ClusterIP, ClusterIPs: []Addr{numbered(1<<20 + i)},
			Ports: []Port{{Name: "http", Number: 80}, {Name: "metrics", Number: 9090}},
		}
		if needs.Forwarding {
			service.Forwarding = &Forwarding{ProxyName: w.Intern("nameplane")}
		}
		w.PutService(service)
		spec := SliceSpec{
			Namespace: namespace, Name: name + "-x7k2p", Service: name,
			Ports:    []Port{{Name: "http", Number: 8080}, {Name: "metrics", Number: 9090}},
			Backends: needs.Forwarding,
		}
		for j := range each {
			pod := fmt.Sprintf("%s-5b56ccd65f-%05d", name, j)
			e := EndpointSpec{Addr: numbered(i*each + j), Name: pod, PodName: true, Zone: "zone-a"}
			if needs.Forwarding { // on one of a thousand nodes, with topology hints
				node := (i*7 + j*131) % 1000
				zone := fmt.Sprint("zone-", node%3)
				e.Place = &Place{Node: fmt.Sprintf("ip-10-0-%d-%d.eu-west-1.compute.internal", node/250, node%250), Zone: zone, ForZones: []string{zone}}
			}
			spec.Endpoints = append(spec.Endpoints, e)
			if needs.Pods {
				w.PutPod(&PodSpec{Namespace: namespace, Name: pod, Addrs: []Addr{numbered(i*each + j)}})
			}
		}
		w.PutSlice(&spec)
	}
}

// TestReadersAllocateNothing is the hot path's budget: a reader leaves nothing to the garbage collector.
func TestReadersAllocateNothing(t *testing.T) {
	s, w := NewStore()
	fill(w, 200, 20, Needs{Pods: true})
	found, missing := key(t, "namespace-7", "service-7"), key(t, "namespace-7", "service-8")
	label, dashed, dashed6 := []byte("service-7-5b56ccd65f-00003"), []byte("10-0-0-143"), []byte("2001-db8--1")
	namespace := []byte("\x0bnamespace-7")
	var buffer [64]byte
	sink := 0
	for _, test := range []struct {
		name string
		read func()
	}{
		{name: "Service, found", read: func() { sink += len(s.Service(found).ClusterIPs) }},
		{name: "Service, missing", read: func() {
			if s.Service(missing) != nil {
				sink++
			}
		}},
		{name: "its names", read: func() { svc := s.Service(found); sink += len(svc.Key()) + len(svc.Name()) + len(svc.NamespaceLabel()) }},
		{name: "HasNamespace", read: func() {
			if s.HasNamespace(namespace) {
				sink++
			}
		}},
		{name: "Holders", read: func() {
			h := s.Holders(numbered(143))
			for svc := h.Next(); svc != nil; svc = h.Next() {
				sink += len(svc.Endpoints.At(numbered(143)))
			}
		}},
		{name: "PodAt", read: func() {
			for p := s.PodAt(numbered(143)); p != nil; p = p.Next() {
				sink += len(p.Name)
			}
		}},
		{name: "Named, Name, Zone", read: func() {
			endpoints := s.Service(found).Endpoints
			for _, i := range endpoints.Named(label) {
				e := &endpoints.List[i]
				sink += len(endpoints.Name(e, true)) + len(endpoints.Zone(e)) + len(e.Addr.Bytes())
			}
		}},
		{name: "ParseDashed", read: func() {
			for _, l := range [][]byte{dashed, dashed6, label} {
				if a, ok := ParseDashed(l); ok {
					sink += len(a.AppendDashed(buffer[:0]))
				}
			}
		}},
		{name: "Serial, Synced", read: func() {
			if s.Synced() {
				sink += int(s.Serial())
			}
		}},
	} {
		if got := testing.AllocsPerRun(100, test.read); got != 0 {
			t.Errorf("%s: %v allocations", test.name, got)
		}
	}
	if sink == 0 {
		t.Error("nothing was read")
	}
}

func BenchmarkService(b *testing.B) {
	s, w := NewStore()
	fill(w, 10_000, 1, Needs{})
	for _, test := range []struct {
		name string
		key  []byte
		want bool
	}{
		{name: "hit", key: key(b, "namespace-7", "service-4507"), want: true},
		{name: "miss", key: key(b, "namespace-8", "service-4507")},
	} {
		b.Run(test.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if (s.Service(test.key) != nil) != test.want {
					b.Fatal("wrong")
				}
			}
		})
	}
}

func BenchmarkHolders(b *testing.B) {
	s, w := NewStore()
	fill(w, 10_000, 10, Needs{})
	b.ReportAllocs()
	for b.Loop() {
		h := s.Holders(numbered(54_321))
		if svc := h.Next(); svc == nil || len(svc.Endpoints.At(numbered(54_321))) != 1 {
			b.Fatal("wrong")
		}
	}
}

func BenchmarkParseDashed(b *testing.B) {
	for _, label := range []string{"10-244-131-144", "2001-db8-0-1--7334"} {
		b.Run(label, func(b *testing.B) {
			b.ReportAllocs()
			text := []byte(label)
			for b.Loop() {
				if _, ok := ParseDashed(text); !ok {
					b.Fatal("wrong")
				}
			}
		})
	}
}

func BenchmarkPutSlice(b *testing.B) {
	for _, each := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(each, " endpoints"), func(b *testing.B) {
			_, w := NewStore()
			specs := [2]*SliceSpec{sliceOf("a", "a-1"), sliceOf("a", "a-1")}
			for i := range 2 * each {
				specs[i%2].Endpoints = append(specs[i%2].Endpoints, EndpointSpec{Addr: numbered(i)})
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				w.PutSlice(specs[i%2])
			}
		})
	}
}

// BenchmarkMemory prints what a service and an endpoint cost in bytes that stay, Writer included.
func BenchmarkMemory(b *testing.B) {
	live := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	// grow fills with services of few and of many endpoints; the difference is the endpoints'.
	grow := func(services, each int, needs Needs) float64 {
		before := live()
		s, w := NewStore()
		fill(w, services, each, needs)
		used := live() - before
		runtime.KeepAlive(s)
		runtime.KeepAlive(w)
		return used
	}
	names, pods, forwarding := Needs{}, Needs{Pods: true}, Needs{Forwarding: true}
	for b.Loop() {
		const services = 5000
		one, many, withPods := grow(services, 1, names), grow(services, 11, names), grow(services, 11, pods)
		endpoint := (many - one) / (10 * services)
		b.ReportMetric(endpoint, "B/endpoint")
		b.ReportMetric(one/services-endpoint, "B/service")
		b.ReportMetric((withPods-many)/(11*services), "B/pod")
		forwarded, manyForwarded := grow(services, 1, forwarding), grow(services, 11, forwarding)
		backend := (manyForwarded - forwarded) / (10 * services)
		b.ReportMetric(backend-endpoint, "B/backend")
		b.ReportMetric(forwarded/services-backend-(one/services-endpoint), "B/forwarded-service")
	}
}
