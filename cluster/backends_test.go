package cluster

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// backendLines are a service's backends as text.
func backendLines(b *Backends) (out []string) {
	for i := range b.Len() {
		e := b.At(i)
		line := fmt.Sprintf("%s %v %s/%s %v %v", e.Addr, e.Ports, e.Node, e.Zone, e.ForNodes, e.ForZones)
		for _, state := range []struct {
			name string
			set  bool
		}{{name: "unready", set: !e.Ready}, {name: "unserving", set: !e.Serving}, {name: "terminating", set: e.Terminating}} {
			if state.set {
				line += " " + state.name
			}
		}
		out = append(out, line)
	}
	return out
}

// backendsOf is a slice of endpoints in the states that virtual IPs tell apart.
func backendsOf(service, name string, endpoints ...EndpointSpec) *SliceSpec {
	return &SliceSpec{Namespace: "n", Name: name, Service: service, Ports: []Port{{Name: "http", Number: 80}}, Backends: true, Endpoints: endpoints}
}

func service(t testing.TB, s *Store, name string) *Service {
	t.Helper()
	svc := s.Service(key(t, "n", name))
	if svc == nil {
		t.Fatalf("no service %s", name)
	}
	return svc
}

// TestBackends: all that slices say is there, beside the endpoints that are ready.
func TestBackends(t *testing.T) {
	t.Parallel()
	s, w := NewStore()
	w.PutService(&ServiceSpec{Namespace: "n", Name: "a", Type: ClusterIP, ClusterIPs: []Addr{numbered(1)}})
	here := &Place{Node: "node-1", Zone: "Zone-A", ForNodes: []string{"node-1"}, ForZones: []string{"Zone-A", "zone-b"}}
	w.PutSlice(backendsOf("a", "a-1",
		EndpointSpec{Addr: addr(t, "10.0.0.3"), Unready: true, Unserving: true, Place: here},
		EndpointSpec{Addr: addr(t, "10.0.0.1"), Name: "web-0", Place: here},
		EndpointSpec{Addr: addr(t, "10.0.0.2"), Further: true, Name: "web-0", Place: here},
		EndpointSpec{Addr: addr(t, "10.0.0.4"), Unready: true, Terminating: true},
		EndpointSpec{Addr: addr(t, "10.0.0.4"), Unready: true, Terminating: true},
	))
	w.PutSlice(&SliceSpec{Namespace: "n", Name: "a-2", Service: "a", Backends: true, Endpoints: []EndpointSpec{
		{Addr: addr(t, "10.0.0.1"), Place: &Place{Node: "node-2"}}, {Addr: addr(t, "fd00::1"), Unserving: true},
	}})
	want := []string{
		"10.0.0.1 [{http tcp 80}] node-1/Zone-A [node-1] [Zone-A zone-b]",
		"10.0.0.1 [] node-2/ [] []",
		"10.0.0.3 [{http tcp 80}] node-1/Zone-A [node-1] [Zone-A zone-b] unready unserving",
		"10.0.0.4 [{http tcp 80}] / [] [] unready terminating",
		"10.0.0.4 [{http tcp 80}] / [] [] unready terminating",
		"fd00::1 [] / [] [] unserving",
	}
	svc := service(t, s, "a")
	if got := backendLines(svc.Backends); !slices.Equal(got, want) {
		t.Errorf("backends\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	ready := []string{"10.0.0.1   []", "10.0.0.1 web-0  [{http tcp 80}]", "10.0.0.2 web-0  [{http tcp 80}]", "fd00::1   []"}
	if got := names(svc.Endpoints, false); !slices.Equal(got, ready) {
		t.Errorf("endpoints\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(ready, "\n"))
	}
	if len(svc.Backends.places) != 3 {
		t.Errorf("%d places, want 3: equal ones are one", len(svc.Backends.places))
	}
	w.DeleteSlice("n", "a-1")
	w.DeleteSlice("n", "a-2")
	if svc := service(t, s, "a"); svc.Backends != nil || svc.Backends.Len() != 0 || svc.Endpoints != none {
		t.Errorf("after the slices are gone: %v, %v", svc.Backends, svc.Endpoints)
	}
}

// TestBackendsAreAUnion compares with the naive union of whatever slices come, change and go.
func TestBackendsAreAUnion(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	s, w := NewStore()
	w.PutService(&ServiceSpec{Namespace: "n", Name: "a", Type: Headless})
	have := map[string]*SliceSpec{}
	for range 500 {
		spec := backendsOf("a", fmt.Sprint("a-", r.IntN(5)))
		spec.Ports[0].Number += uint16(r.IntN(3))
		for range r.IntN(8) {
			e := EndpointSpec{Addr: numbered(r.IntN(10)), Unready: r.IntN(2) == 0, Unserving: r.IntN(2) == 0, Terminating: r.IntN(2) == 0, Further: r.IntN(4) == 0}
			if r.IntN(2) == 0 {
				e.Place = &Place{Node: fmt.Sprint("node-", r.IntN(3)), ForZones: [][]string{nil, {"a"}, {"a", "b"}}[r.IntN(3)]}
			}
			spec.Endpoints = append(spec.Endpoints, e)
		}
		if r.IntN(4) == 0 {
			w.DeleteSlice("n", spec.Name)
			delete(have, spec.Name)
		} else {
			w.PutSlice(spec)
			have[spec.Name] = spec
		}
		var want, wantReady []string
		for _, spec := range have {
			for _, e := range spec.Endpoints {
				alone := newTestBackends(spec, e)
				want = append(want, backendLines(alone)...)
				if !e.Unready {
					wantReady = append(wantReady, fmt.Sprintf("%s   %v", e.Addr, spec.Ports))
				}
			}
		}
		svc := service(t, s, "a")
		for _, both := range []struct{ got, want []string }{{backendLines(svc.Backends), want}, {names(svc.Endpoints, false), wantReady}} {
			slices.Sort(both.got)
			slices.Sort(both.want)
			if !slices.Equal(both.got, both.want) {
				t.Fatalf("got\n%s\nwant\n%s", strings.Join(both.got, "\n"), strings.Join(both.want, "\n"))
			}
		}
	}
}

func newTestBackends(spec *SliceSpec, e EndpointSpec) *Backends {
	_, w := NewStore()
	return w.newBackends(&SliceSpec{Ports: spec.Ports, Backends: true, Endpoints: []EndpointSpec{e}}, none)
}

// TestBackendChanges: a watcher hears of what changed for virtual IPs, and of nothing that changed nothing; names, and so
// the zone's serial and the Endpoints themselves, stay as they are.
func TestBackendChanges(t *testing.T) {
	t.Parallel()
	s, w := NewStore()
	second := int64(1000)
	w.SetClock(func() time.Time { return time.Unix(second, 0) })
	heard, forwardingOnly := 0, false
	w.Watch(func(c Change) {
		heard, forwardingOnly = heard+1, c.ForwardingOnly || c.Kind == KindNode
		if c.Service == nil && c.Kind != KindNode {
			t.Errorf("a change of %s without its service", c.Kind)
		}
	})
	forwarding := func(f *Forwarding) func() {
		return func() {
			w.PutService(&ServiceSpec{Namespace: "n", Name: "a", Type: ClusterIP, ClusterIPs: []Addr{numbered(1)}, Forwarding: f})
		}
	}
	put := func(name string, endpoints ...EndpointSpec) func() {
		return func() { w.PutSlice(backendsOf("a", name, endpoints...)) }
	}
	one, two := EndpointSpec{Addr: numbered(1), Place: &Place{Node: "x"}}, EndpointSpec{Addr: numbered(2), Place: &Place{Node: "y", ForZones: []string{"z"}}}
	gone, moved, hinted := two, two, two
	gone.Unready, gone.Terminating = true, true
	moved.Place = &Place{Node: "z", ForZones: []string{"z"}}
	hinted.Place = &Place{Node: "y", ForNodes: []string{"z"}}
	unserving := gone
	unserving.Unserving = true
	for i, step := range []struct {
		do           func()
		change, name bool
	}{
		{do: forwarding(&Forwarding{}), change: true, name: true},
		{do: forwarding(&Forwarding{})},
		{do: forwarding(&Forwarding{InternalLocal: true}), change: true},
		{do: forwarding(nil), change: true},
		{do: put("a-1", one, two), change: true, name: true},
		{do: put("a-1", two, one)}, // in another order
		{do: put("a-1", one, moved), change: true},
		{do: put("a-1", one, hinted), change: true},
		{do: put("a-1", one, gone), change: true, name: true},
		{do: put("a-1", one, unserving), change: true},
		{do: put("a-1", one), change: true},
		{do: put("a-1", one)},
		{do: put("a-2")},
		{do: put("a-2", gone), change: true},
		{do: put("a-3", two), change: true, name: true},
		{do: put("a-2", unserving), change: true},
		{do: func() { w.DeleteSlice("n", "a-2") }, change: true},
		{do: put("a-2")},
		{do: func() { w.DeleteSlice("n", "a-2") }},
		{do: func() { w.PutNode(&Node{Name: "x"}) }, change: true},
		{do: func() { w.PutNode(&Node{Name: "x"}) }},
		{do: func() { w.DeleteNode("y") }},
		{do: func() { w.DeleteNode("x") }, change: true},
	} {
		second++
		before, wantHeard, wantSerial := s.Service(key(t, "n", "a")), heard, s.Serial()
		if step.change {
			wantHeard++
		}
		if step.name {
			wantSerial = uint32(second)
		}
		step.do()
		if heard != wantHeard || s.Serial() != wantSerial {
			t.Errorf("step %d: %d changes heard, want %d; serial %d, want %d", i, heard, wantHeard, s.Serial(), wantSerial)
		}
		if step.change && forwardingOnly == step.name {
			t.Errorf("step %d: the change concerns virtual IPs only: %v", i, forwardingOnly)
		}
		if after := service(t, s, "a"); before != nil && !step.name && after.Endpoints != before.Endpoints {
			t.Errorf("step %d: the endpoints are others", i)
		}
		if after := service(t, s, "a"); !step.change && after != before {
			t.Errorf("step %d: the record is another", i)
		}
	}
}

// TestForgotten: nothing stays of services and slices that are gone, in whatever order they go.
func TestForgotten(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"service", "slice"} {
		for _, endpoints := range [][]EndpointSpec{nil, {{Addr: numbered(1)}}, {{Addr: numbered(1), Unready: true}}} {
			s, w := NewStore()
			w.PutSlice(backendsOf("a", "a-1", endpoints...))
			w.PutService(&ServiceSpec{Namespace: "n", Name: "a", Type: ClusterIP, Forwarding: &Forwarding{}})
			if first == "service" {
				w.DeleteService("n", "a")
			}
			w.DeleteSlice("n", "a-1")
			w.DeleteService("n", "a")
			if len(w.states) != 0 || s.services.live != 0 || s.addresses.live != 0 {
				t.Errorf("%s first, %d endpoints: %d states, %d services, %d addresses are left", first, len(endpoints), len(w.states), s.services.live, s.addresses.live)
			}
		}
	}
}

// TestBackendsAreSmall: 100,000 endpoints are a few megabytes, for names as without virtual IPs.
func TestBackendsAreSmall(t *testing.T) {
	if got := unsafe.Sizeof(backend{}); got != 22 {
		t.Errorf("a backend has %d bytes, want 22", got)
	}
	if got := unsafe.Sizeof(Endpoint{}); got != 28 {
		t.Errorf("an endpoint has %d bytes, want 28", got)
	}
	_, w := NewStore()
	spec := backendsOf("a", "a-1", EndpointSpec{Addr: numbered(1), Place: &Place{Node: "x", ForZones: []string{"z"}}})
	b := w.newBackends(spec, none)
	if n := testing.AllocsPerRun(100, func() { _ = b.At(0) }); n != 0 {
		t.Errorf("At allocates %v times", n)
	}
	if other := w.newBackends(spec, none); other.places[0] != b.places[0] {
		t.Error("the same place is kept twice")
	}
}

// TestManyPlacesAndPorts: past 65,535 of either in one service a backend is nowhere, or has no ports; never another's.
func TestManyPlacesAndPorts(t *testing.T) {
	t.Parallel()
	const many = 65_540
	s, w := NewStore()
	w.PutService(&ServiceSpec{Namespace: "n", Name: "a", Type: Headless})
	spec := backendsOf("a", "a-1")
	for i := range many {
		spec.Endpoints = append(spec.Endpoints, EndpointSpec{Addr: numbered(i), Place: &Place{Node: fmt.Sprint(i)}})
	}
	w.PutSlice(spec)
	w.PutSlice(backendsOf("a", "a-2", EndpointSpec{Addr: numbered(0), Place: &Place{Node: "other"}}))
	svc := service(t, s, "a")
	nowhere := 0
	for i := range svc.Backends.Len() {
		switch b := svc.Backends.At(i); b.Node {
		case "":
			nowhere++
		case "other", fmt.Sprint(number(b.Addr)):
		default:
			t.Fatalf("%s is on node %s", b.Addr, b.Node)
		}
	}
	if svc.Backends.Len() != many+1 || nowhere < many-65_535 || nowhere > many-65_530 {
		t.Errorf("%d backends, %d of them nowhere", svc.Backends.Len(), nowhere)
	}

	b := &Backends{}
	for i := range 65_535 { // portsSet would compare each with all before it
		b.ports = append(b.ports, []Port{{Name: "other", Number: uint16(i)}})
	}
	for i := range 3 {
		set := b.portsSet([]Port{{Name: "http", Number: uint16(i)}})
		if set != 65_535 || b.ports[set] != nil {
			t.Errorf("set %d: %v", set, b.ports[set])
		}
	}
}

// number is the inverse of numbered.
func number(a Addr) int { return int(binary.BigEndian.Uint32(a[12:])) &^ (10 << 24) }

// TestPlacesAreBounded: nodes come and go for years.
func TestPlacesAreBounded(t *testing.T) {
	t.Parallel()
	_, w := NewStore()
	for i := range 250_000 {
		if p := w.locality(&Place{Node: fmt.Sprint(i)}); p.Node != fmt.Sprint(i) {
			t.Fatalf("place %d is %q", i, p.Node)
		}
	}
	if n := len(w.localities); n > 100_000 {
		t.Errorf("%d places are kept", n)
	}
}

// TestHugeService: slices of one service, changed one at a time, and none of it slow beyond its size.
func TestHugeService(t *testing.T) {
	t.Parallel()
	const total, each = 5_000, 100
	s, w := NewStore()
	w.PutService(&ServiceSpec{Namespace: "n", Name: "a", Type: ClusterIP, ClusterIPs: []Addr{numbered(1)}})
	put := func(i int, unready bool) {
		spec := backendsOf("a", fmt.Sprint("a-", i))
		for j := range each {
			spec.Endpoints = append(spec.Endpoints, EndpointSpec{Addr: numbered(i + j), Unready: unready, Place: &Place{Node: fmt.Sprint("node-", j)}})
		}
		w.PutSlice(spec)
	}
	for i := 0; i < total; i += each {
		put(i, false)
	}
	put(0, true)
	svc := service(t, s, "a")
	if svc.Backends.Len() != total || len(svc.Endpoints.List) != total-each || len(svc.Backends.places) != each || len(svc.Backends.ports) != 1 {
		t.Errorf("%d backends, %d endpoints, %d places, %d sets of ports", svc.Backends.Len(), len(svc.Endpoints.List), len(svc.Backends.places), len(svc.Backends.ports))
	}
}
