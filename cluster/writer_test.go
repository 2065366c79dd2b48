package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func key(t testing.TB, namespace, name string) []byte {
	t.Helper()
	k, ok := ServiceKey(namespace, name)
	if !ok {
		t.Fatalf("%s/%s has no key", namespace, name)
	}
	return []byte(k)
}

func sliceOf(service, name string, addrs ...Addr) *SliceSpec {
	spec := &SliceSpec{Namespace: "n", Name: name, Service: service}
	for _, a := range addrs {
		spec.Endpoints = append(spec.Endpoints, EndpointSpec{Addr: a})
	}
	return spec
}

func TestServiceKey(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name               string
		namespace, service string
		want               string
		refused            bool
	}{
		{name: "wire form (RFC 1035, section 3.1)", namespace: "prod", service: "web", want: "\x03web\x04prod"},
		{name: "lower case", namespace: "Prod", service: "WEB", want: "\x03web\x04prod"},
		{name: "63 letters", namespace: "n", service: strings.Repeat("a", 63), want: "\x3f" + strings.Repeat("a", 63) + "\x01n"},
		{name: "64 letters", namespace: "n", service: strings.Repeat("a", 64), refused: true},
		{name: "namespace of 64 letters", namespace: strings.Repeat("a", 64), service: "a", refused: true},
		{name: "no name", namespace: "n", refused: true},
		{name: "no namespace", service: "a", refused: true},
		{name: "a dot", namespace: "n", service: "a.b", refused: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, w := NewStore()
			if got, ok := ServiceKey(test.namespace, test.service); ok == test.refused || ok && got != test.want {
				t.Errorf("key %q, %v; want %q", got, ok, test.want)
			}
			if ok := w.PutService(&ServiceSpec{Namespace: test.namespace, Name: test.service, Type: Headless}); ok == test.refused {
				t.Errorf("PutService: %v", ok)
			}
			w.PutSlice(&SliceSpec{Namespace: test.namespace, Name: "s", Service: test.service, Endpoints: []EndpointSpec{{Addr: numbered(1)}}})
			svc := s.Service([]byte(test.want))
			if (svc == nil) != test.refused {
				t.Fatalf("found %v", svc)
			}
			if svc == nil {
				if got := s.Status().Skipped; got != 2 {
					t.Errorf("%d skipped, want service and slice", got)
				}
				return
			}
			if svc.Name() != strings.ToLower(test.service) || svc.Namespace() != strings.ToLower(test.namespace) ||
				svc.NamespaceLabel() != test.want[1+len(test.service):] || svc.Key() != test.want {
				t.Errorf("names %q %q %q", svc.Name(), svc.Namespace(), svc.NamespaceLabel())
			}
			w.DeleteService(test.namespace, test.service)
			if s.Service([]byte(test.want)) != nil {
				t.Error("there after its deletion")
			}
		})
	}
}

// TestTypes takes one service through every type and back; its endpoints are another object's and stay.
func TestTypes(t *testing.T) {
	t.Parallel()
	s, w := NewStore()
	vip, pod := addr(t, "10.96.0.1"), addr(t, "10.244.0.1")
	w.PutSlice(sliceOf("web", "web-1", pod))
	if s.Service(key(t, "n", "web")) != nil {
		t.Error("a slice alone makes a service")
	}
	if got := holders(s, pod); !slices.Equal(got, []string{"n/web"}) {
		t.Errorf("a slice before its service: holders %v", got)
	}
	for i, spec := range []ServiceSpec{
		{Type: ClusterIP, ClusterIPs: []Addr{vip}, Ports: []Port{{Name: "http", Number: 80}}},
		{Type: Headless},
		{Type: ExternalName, ExternalName: "example.com"},
		{Type: ClusterIP, ClusterIPs: []Addr{vip, addr(t, "fd00::1")}},
		{Type: ClusterIP, ClusterIPs: []Addr{vip}},
	} {
		spec.Namespace, spec.Name = "n", "web"
		w.PutService(&spec)
		svc := s.Service(key(t, "n", "web"))
		if svc == nil || svc.Type != spec.Type || svc.ExternalName != spec.ExternalName || !slices.Equal(svc.ClusterIPs, spec.ClusterIPs) || len(svc.Endpoints.List) != 1 {
			t.Fatalf("step %d: %+v", i, svc)
		}
		if got, want := len(holders(s, vip)), min(1, len(spec.ClusterIPs)); got != want {
			t.Errorf("step %d: %d holders of %v, want %d", i, got, vip, want)
		}
		if got, want := len(holders(s, addr(t, "fd00::1"))), max(0, len(spec.ClusterIPs)-1); got != want {
			t.Errorf("step %d: %d holders of the second address, want %d", i, got, want)
		}
	}
	if got := s.Status().Objects[KindService]; got != 1 {
		t.Errorf("%d services counted", got)
	}
	w.DeleteService("n", "web")
	w.DeleteService("n", "web")
	if s.Service(key(t, "n", "web")) != nil || len(holders(s, vip)) != 0 || len(holders(s, pod)) != 1 {
		t.Error("the deletion left the wrong things")
	}
	w.DeleteSlice("n", "web-1")
	if len(holders(s, pod)) != 0 || s.addresses.live != 0 || s.services.live != 0 || len(w.states) != 0 {
		t.Errorf("left over: %d addresses, %d services, %d states", s.addresses.live, s.services.live, len(w.states))
	}
	if st := s.Status(); st.Objects != [9]int{} {
		t.Errorf("objects counted: %v", st.Objects)
	}
}

// TestClusterIPTwice: two services with one address are both served, and both found by it.
func TestClusterIPTwice(t *testing.T) {
	t.Parallel()
	s, w := NewStore()
	vip := addr(t, "10.96.0.1")
	for _, name := range []string{"a", "b"} {
		w.PutService(&ServiceSpec{Namespace: "n", Name: name, Type: ClusterIP, ClusterIPs: []Addr{vip, vip}})
	}
	got := holders(s, vip)
	slices.Sort(got)
	if !slices.Equal(got, []string{"n/a", "n/b"}) {
		t.Errorf("holders %v", got)
	}
	w.DeleteService("n", "a")
	if got := holders(s, vip); !slices.Equal(got, []string{"n/b"}) {
		t.Errorf("holders %v after one is gone", got)
	}
}

func TestNumbersAreGivenAgain(t *testing.T) {
	t.Parallel()
	s, w := NewStore()
	for i := range 10_000 {
		name := fmt.Sprint("s", i)
		w.PutService(&ServiceSpec{Namespace: "n", Name: name, Type: ClusterIP, ClusterIPs: []Addr{numbered(i)}})
		if got := holders(s, numbered(i)); !slices.Equal(got, []string{"n/" + name}) {
			t.Fatalf("holders %v of %s", got, name)
		}
		w.DeleteService("n", name)
		if got := holders(s, numbered(i)); len(got) != 0 {
			t.Fatalf("holders %v after the deletion", got)
		}
	}
	if w.nextNumber != 1 {
		t.Errorf("%d numbers for one service at a time", w.nextNumber)
	}
}

func TestLargeService(t *testing.T) {
	t.Parallel()
	const total, each = 10_000, 100
	s, w := NewStore()
	w.PutService(&ServiceSpec{Namespace: "n", Name: "big", Type: Headless})
	for i := 0; i < total; i += each {
		spec := SliceSpec{Namespace: "n", Name: fmt.Sprint("big-", i), Service: "big", Ports: []Port{{Name: "http", Number: 80}}}
		for j := range each {
			spec.Endpoints = append(spec.Endpoints, EndpointSpec{Addr: numbered(i + j), Name: fmt.Sprint("pod-", i+j), PodName: true})
		}
		w.PutSlice(&spec)
	}
	svc := s.Service(key(t, "n", "big"))
	if got := len(svc.Endpoints.List); got != total {
		t.Fatalf("%d endpoints, want %d", got, total)
	}
	for i := range total {
		found := svc.Endpoints.Named(fmt.Append(nil, "pod-", i))
		if len(found) != 1 || svc.Endpoints.List[found[0]].Addr != numbered(i) || len(svc.Endpoints.At(numbered(i))) != 1 {
			t.Fatalf("endpoint %d: %v", i, found)
		}
	}
	if len(svc.Endpoints.Ports) != 1 {
		t.Errorf("%d sets of ports", len(svc.Endpoints.Ports))
	}
}

// TestSerial: a zone's serial is the second of the last change that a zone can show; what changes nothing, leaves it.
func TestSerial(t *testing.T) {
	t.Parallel()
	s, w := NewStore()
	second := int64(1000)
	w.SetClock(func() time.Time { return time.Unix(second, 0) })
	service := func() { w.PutService(&ServiceSpec{Namespace: "n", Name: "a", Type: Headless}) }
	endpoints := func() { w.PutSlice(sliceOf("a", "a-1", numbered(1))) }
	pod := func() { w.PutPod(&PodSpec{Namespace: "n", Name: "p", Addrs: []Addr{numbered(1)}}) }
	if s.Serial() != 0 {
		t.Fatal("a serial before any change")
	}
	for i, step := range []struct {
		do   func()
		news bool
	}{
		{do: service, news: true}, {do: service}, {do: endpoints, news: true}, {do: endpoints}, {do: pod, news: true}, {do: pod},
		{do: func() { w.PutNamespace("n") }},
		{do: func() { w.DeleteSlice("n", "a-1") }, news: true},
		{do: func() { w.DeleteSlice("n", "a-1") }},
		{do: func() { w.DeletePod("n", "p") }, news: true},
		{do: func() { w.DeleteService("n", "a") }, news: true},
		{do: w.Alive},
	} {
		second++
		before := s.Serial()
		step.do()
		want := before
		if step.news {
			want = uint32(second)
		}
		if got := s.Serial(); got != want {
			t.Errorf("step %d: serial %d, want %d", i, got, want)
		}
		if got := s.Status().LastEvent; got.Unix() != second {
			t.Errorf("step %d: last event %v, want %d", i, got.Unix(), second)
		}
	}
}

// TestExternalSerial: the serial of a zone for the outside is that of the last change that it can show.
func TestExternalSerial(t *testing.T) {
	t.Parallel()
	s, w := NewStore()
	second := int64(1000)
	w.SetClock(func() time.Time { return time.Unix(second, 0) })
	service := func(port uint16, external ...string) func() {
		spec := &ServiceSpec{Namespace: "n", Name: "a", Type: ClusterIP, Ports: []Port{{Number: port}}}
		for _, text := range external {
			spec.External = append(spec.External, ParseExternal(text))
		}
		return func() { w.PutService(spec) }
	}
	for i, step := range []struct {
		do                 func()
		internal, external bool // the serial changes
	}{
		{do: service(80), internal: true},
		{do: service(81), internal: true},
		{do: service(81, "192.0.2.1"), external: true},
		{do: service(81, "192.0.2.1")},
		{do: service(81, "192.0.2.1", "lb.example.org"), external: true},
		{do: service(82, "192.0.2.1", "lb.example.org"), internal: true, external: true},
		{do: func() { w.PutSlice(sliceOf("a", "a-1", numbered(1))) }, internal: true},
		{do: func() { w.DeleteService("n", "a") }, internal: true, external: true},
		{do: service(80, "192.0.2.1"), internal: true, external: true},
		{do: service(80), external: true},
		{do: func() { w.DeleteService("n", "a") }, internal: true},
	} {
		second++
		wantInternal, wantExternal := s.Serial(), s.ExternalSerial()
		if step.internal {
			wantInternal = uint32(second)
		}
		if step.external {
			wantExternal = uint32(second)
		}
		step.do()
		if s.Serial() != wantInternal || s.ExternalSerial() != wantExternal {
			t.Errorf("step %d: serials %d and %d, want %d and %d", i, s.Serial(), s.ExternalSerial(), wantInternal, wantExternal)
		}
	}
}

// TestChanges: a watcher hears of each change once, with the record after it, and of nothing that changed nothing.
func TestChanges(t *testing.T) {
	t.Parallel()
	_, w := NewStore()
	var heard []string
	trigger := time.Unix(5, 0)
	cancel := w.Watch(func(c Change) {
		line := c.Kind.String()
		if c.Service != nil {
			line = fmt.Sprint(line, " ", c.Service, " ", len(c.Service.Endpoints.List), " ", c.Trigger.Equal(trigger))
		}
		heard = append(heard, line)
	})
	spec := sliceOf("a", "a-1", numbered(1))
	spec.Trigger = trigger
	w.PutSlice(spec)
	w.PutSlice(spec)
	w.PutService(&ServiceSpec{Namespace: "n", Name: "a", Type: Headless})
	w.PutService(&ServiceSpec{Namespace: "n", Name: "a", Type: Headless})
	w.PutNamespace("n")
	w.PutNamespace("n")
	w.PutPod(&PodSpec{Namespace: "n", Name: "p", Addrs: []Addr{numbered(1)}})
	w.DeleteSlice("n", "a-1")
	w.DeleteService("n", "a")
	cancel()
	w.DeleteNamespace("n")
	want := []string{
		"endpointslices n/a 1 true", "services n/a 1 false", "namespaces", "pods", "endpointslices n/a 0 false", "services n/a 0 false",
	}
	if !slices.Equal(heard, want) {
		t.Errorf("heard\n%s\nwant\n%s", strings.Join(heard, "\n"), strings.Join(want, "\n"))
	}
}

// TestSliceMoves: the label that names a slice's service was changed.
func TestSliceMoves(t *testing.T) {
	t.Parallel()
	s, w := NewStore()
	for _, name := range []string{"a", "b"} {
		w.PutService(&ServiceSpec{Namespace: "n", Name: name, Type: Headless})
	}
	w.PutSlice(sliceOf("a", "x", numbered(1)))
	w.PutSlice(sliceOf("b", "x", numbered(1)))
	if got := holders(s, numbered(1)); !slices.Equal(got, []string{"n/b"}) {
		t.Errorf("holders %v", got)
	}
	if w.PutSlice(sliceOf("", "x", numbered(1))) {
		t.Error("a slice of no service was taken")
	}
	if got := holders(s, numbered(1)); len(got) != 0 || s.Status().Objects[KindEndpointSlice] != 0 {
		t.Errorf("holders %v of a slice without a service", got)
	}
}

func TestSharedPodAddress(t *testing.T) {
	t.Parallel()
	s, w := NewStore()
	node := numbered(1)
	for _, name := range []string{"a", "b", "c"} {
		w.PutPod(&PodSpec{Namespace: "n", Name: name, Addrs: []Addr{node, node}})
	}
	all := func() (out []string) {
		for p := s.PodAt(node); p != nil; p = p.Next() {
			out = append(out, p.Name)
		}
		slices.Sort(out)
		return out
	}
	if got := all(); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("pods %v", got)
	}
	w.PutPod(&PodSpec{Namespace: "n", Name: "b", Addrs: []Addr{numbered(2)}})
	w.DeletePod("n", "a")
	if got := all(); !slices.Equal(got, []string{"c"}) {
		t.Errorf("pods %v", got)
	}
	w.DeletePod("n", "c")
	w.DeletePod("n", "b")
	if s.PodAt(node) != nil || s.pods.live != 0 {
		t.Error("pods left")
	}
}

// TestSharer: who else has a virtual IP, by what a list named so far.
func TestSharer(t *testing.T) {
	t.Parallel()
	_, w := NewStore()
	vip := numbered(1)
	specs := map[string]*ServiceSpec{}
	for _, name := range []string{"a", "b"} {
		specs[name] = &ServiceSpec{Namespace: "n", Name: name, Type: ClusterIP, ClusterIPs: []Addr{vip}}
	}
	w.PutSlice(sliceOf("c", "c-1", vip)) // an endpoint, not a virtual IP
	w.PutService(specs["a"])
	if got := w.Sharer(specs["a"], vip); got != nil {
		t.Errorf("a shares with %v", got)
	}
	if got := w.Sharer(specs["b"], vip); got == nil || got.Name() != "a" {
		t.Errorf("b shares with %v", got)
	}
	w.PutService(specs["b"])
	if got := w.Sharer(specs["a"], vip); got == nil || got.Name() != "b" {
		t.Errorf("a shares with %v", got)
	}
	w.BeginList(KindService)
	w.PutService(specs["b"])
	if got := w.Sharer(specs["b"], vip); got != nil {
		t.Errorf("b shares with %v, which the list did not name yet", got)
	}
}

func TestIntern(t *testing.T) {
	t.Parallel()
	_, w := NewStore()
	for i := range 20_000 { // past the bound it is the text itself
		if text := fmt.Sprint("name-", i); w.Intern(text) != text {
			t.Fatalf("%q became another", text)
		}
	}
	if n := len(w.interned); n > 10_000 {
		t.Errorf("%d texts are kept", n)
	}
}

func TestProtocols(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		want Protocol
		name string
	}{{text: "TCP", want: TCP, name: "tcp"}, {text: "UDP", want: UDP, name: "udp"}, {text: "SCTP", want: SCTP, name: "sctp"}, {text: "", want: TCP, name: "tcp"}} {
		if got := ParseProtocol(test.text); got != test.want || got.String() != test.name {
			t.Errorf("%q is %v", test.text, got)
		}
	}
}

func TestStatusLine(t *testing.T) {
	t.Parallel()
	s, w := NewStore()
	w.Expect("manifests demo", KindService)
	w.PutService(&ServiceSpec{Namespace: "n", Name: "a", Type: Headless})
	w.Fail("demo/a.yaml:%d: broken", 3)
	if got, want := s.Status().String(), "manifests demo: 1 services 0 endpointslices 0 namespaces; demo/a.yaml:3: broken"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
