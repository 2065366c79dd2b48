package netns

import (
	"fmt"
	"net/netip"
	"os"
	system "runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// promised is how soon after a change clients meet it.
const promised = 2 * time.Second

// silence is how long a client waits that is to get no answer.
const silence = 400 * time.Millisecond

// exam is what a case works with: the world, the subject's source, and one family.
type exam struct {
	*world
	family
	source source
	mode   string
	limit  time.Duration // how soon after a change clients have to meet it
	serial *atomic.Int32 // of services, so that none meets another's addresses and ports
}

func newExam(w *world, mode string, from source) *exam {
	return &exam{world: w, family: v4, source: from, mode: mode, limit: promised, serial: new(atomic.Int32)}
}

// in is the same exam for another family.
func (e *exam) in(f family) *exam {
	other := *e
	other.family = f
	return &other
}

// vipOf is the n-th address of the service CIDR. The first ones are left to the API server.
func vipOf(f family, n int32) netip.Addr {
	n += 1000
	if f == v6 {
		return netip.MustParseAddr(fmt.Sprintf("fd00:10:96::%x", n))
	}
	return netip.AddrFrom4([4]byte{10, byte(96 + n>>16), byte(n >> 8), byte(n)})
}

// service is a new one with an address of its own.
func (e *exam) service(ports ...corev1.ServicePort) *service {
	n := e.serial.Add(1)
	return newService(e.source, e.family, fmt.Sprintf("s%d", n), vipOf(e.family, n), ports...)
}

// unallocated is an address of the service CIDR that no service has, with a port.
func (e *exam) unallocated(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(vipOf(e.family, e.serial.Add(1)), port)
}

// nodePort is one that no other service has, of those that the API server allows.
func (e *exam) nodePort() int32 { return 30000 + e.serial.Add(1) }

// up are backends that are ready.
func (e *exam) up(hosts ...*host) []discoveryv1.Endpoint {
	return e.all(condition{ready: true, serving: true}, hosts)
}

// down are backends that are not ready.
func (e *exam) down(hosts ...*host) []discoveryv1.Endpoint { return e.all(condition{}, hosts) }

// ending are backends that are being deleted and serve on.
func (e *exam) ending(hosts ...*host) []discoveryv1.Endpoint {
	return e.all(condition{serving: true, terminating: true}, hosts)
}

func (e *exam) all(c condition, hosts []*host) (all []discoveryv1.Endpoint) {
	for _, h := range hosts {
		all = append(all, e.backend(h, e.family, c))
	}
	return all
}

// keepsSource is seenAs for planes that keep the client's address.
func (e *exam) keepsSource(a *Tally, addrs ...netip.Addr) error {
	if e.mode == relay {
		return nil
	}
	return a.seenAs(addrs...)
}

// soon waits until check finds nothing wrong, for no longer than changes may take.
func (e *exam) soon(t testing.TB, check func() error) {
	t.Helper()
	within(t, e.limit, check)
}

// within is soon with another limit. Limits are for a machine that has a processor for all that runs; where more waits for
// one, they are as much longer.
func within(t testing.TB, limit time.Duration, check func() error) {
	t.Helper()
	limit = time.Duration(float64(limit) * max(1, load()/float64(system.NumCPU())))
	for deadline := time.Now().Add(limit); ; {
		last := time.Now().After(deadline)
		err := check()
		if err == nil {
			return
		}
		if last {
			t.Fatalf("after %s: %v", limit, err)
		}
		pause(t, 20*time.Millisecond)
	}
}

// load is how many threads run or wait for a processor: now, or on average of the last minute.
func load() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	words := strings.Fields(string(text))
	if err != nil || len(words) < 4 {
		return 0
	}
	running, _, _ := strings.Cut(words[3], "/")
	now, e1 := strconv.ParseFloat(running, 64)
	average, e2 := strconv.ParseFloat(words[0], 64)
	if e1 != nil || e2 != nil {
		return 0
	}
	return max(now, average)
}

// pause lets time pass where time itself is what a case is about.
func pause(t testing.TB, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

// first tells what is wrong first.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// nodes are the Node objects of the world.
func (w *world) nodes() []runtime.Object {
	one := func(name, zone string, h *host) *corev1.Node {
		n := &corev1.Node{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}}
		n.Name, n.Labels = name, map[string]string{corev1.LabelTopologyZone: zone}
		for _, addr := range []netip.Addr{h.v4, h.v6} {
			n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: addr.String()})
		}
		return n
	}
	return []runtime.Object{one(nodeName, "zone-a", w.node), one(remoteName, "zone-b", w.node2)}
}
