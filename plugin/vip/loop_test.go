package vip

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nameplane/nameplane/cluster"
)

const plainCorefile = ". {\n vip {\n  mode relay\n }\n}\n"

// wait lets a time pass, and everything that is due in it happen.
func wait(d time.Duration) {
	if d > 0 {
		<-time.After(d)
	}
	synctest.Wait()
}

// Nothing is forwarded before all is known: half a list would look as if services were gone.
func TestNothingBeforeSynced(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v := w.begin(plainCorefile)
		v.lease.Writer.Expect("test", cluster.KindService, cluster.KindEndpointSlice)
		v.web("a", 1, "10.1.0.1")
		wait(2 * overdue)
		wants(t, "before", w.planes[0].taken(), "")
		if !w.forwarder.current().healthy() {
			t.Error("unhealthy while it waits for the API server: a restart would not bring that back")
		}
		if err := v.Ready(); err == nil || err.Error() != "test: waiting for the list of services, endpointslices" {
			t.Errorf("Ready says %v", err)
		}
		v.sync()
		wait(lookEvery)
		wants(t, "after", w.planes[0].taken(), "adopt 1")
		wants(t, "backends", w.planes[0].backends("a"), "10.1.0.1:8080")
		if err := v.Ready(); err != nil {
			t.Errorf("Ready says %v", err)
		}
	})
}

// begun is a world that forwards the service a.
func begun(t *testing.T, w *world) (*instance, *fakePlane) {
	t.Helper()
	v := w.begin(plainCorefile)
	v.web("a", 1, "10.1.0.1")
	v.sync()
	wait(time.Second)
	p := w.planes[0]
	if got := p.taken(); got != "adopt 1" {
		t.Fatalf("it begins by %q", got)
	}
	return v, p
}

// The first change after a quiet time is forwarded at once; what others follow shortly are taken together.
func TestCoalescing(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v, p := begun(t, w)
		v.web("a", 1, "10.1.0.2")
		wait(0)
		wants(t, "at once", p.taken(), "apply 1")
		for i := range 100 {
			v.web("a", 1, fmt.Sprintf("10.1.1.%d", i))
			v.web("b", 2, fmt.Sprintf("10.1.2.%d", i))
		}
		wait(0)
		wants(t, "within the pause", p.taken(), "")
		wait(minPause)
		wants(t, "after it", p.taken(), "apply 2")
		wants(t, "a", p.backends("a"), "10.1.1.99:8080")
		wants(t, "b", p.backends("b"), "10.1.2.99:8080")
		wait(time.Second)
		v.lease.Writer.DeleteService("default", "b")
		wait(0)
		wants(t, "deleted", p.taken(), "apply 1")
		wants(t, "b", p.backends("b"), "none")
	})
}

// A pass that takes long is followed by a long pause, so that passes don't fill a processor.
func TestPauseFollowsCost(t *testing.T) {
	for _, test := range []struct {
		name       string
		took, want time.Duration
	}{
		{name: "quick", took: time.Microsecond, want: minPause},
		{name: "in between", took: 20 * time.Millisecond, want: 100 * time.Millisecond},
		{name: "slow", took: time.Minute, want: maxPause},
	} {
		if got := pauseAfter(test.took); got != test.want {
			t.Errorf("%s: %s after a pass of %s, want %s", test.name, got, test.took, test.want)
		}
	}
}

// What cannot be forwarded is tried again, all of it, later each time; what was forwarded stays, and nothing gets lost.
func TestFailure(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v, p := begun(t, w)
		p.set(&p.applyErr, errKernel)
		p.set(&p.adoptErr, errKernel)
		v.web("a", 1, "10.1.0.2")
		wait(0)
		wants(t, "fails", p.taken(), "apply 1")
		wait(minBackoff - 1)
		wants(t, "within the backoff", p.taken(), "")
		wait(1)
		wants(t, "again", p.taken(), "adopt 1")
		wait(2 * minBackoff)
		wants(t, "later", p.taken(), "adopt 1")
		wait(30 * time.Second)
		wants(t, "4, 8, 16 s", p.taken(), "adopt 1, adopt 1, adopt 1")
		if l := w.forwarder.current(); !l.healthy() {
			t.Error("unhealthy within the first minute")
		}
		v.web("b", 2, "10.1.0.3")
		wait(0)
		wants(t, "something else changed", p.taken(), "adopt 2")
		v.web("b", 2, "10.1.0.4")
		wait(minBackoff - 1)
		wants(t, "within a second", p.taken(), "")
		wait(1)
		wants(t, "after it", p.taken(), "adopt 2")
		v.web("b", 2, "10.1.0.3")
		wait(2 * time.Minute)
		if got := strings.Count(p.taken(), "adopt"); got != 5 {
			t.Errorf("%d tries in 2 minutes, want one for the change, and one in %s", got, maxBackoff)
		}
		if l := w.forwarder.current(); l.healthy() {
			t.Error("healthy, though a change waits for more than a minute")
		}
		if err := v.Ready(); err != nil {
			t.Errorf("not ready any more: %v", err)
		}
		p.set(&p.adoptErr, nil)
		wait(maxBackoff)
		wants(t, "works again", p.taken(), "adopt 2")
		wants(t, "a", p.backends("a"), "10.1.0.2:8080")
		wants(t, "b", p.backends("b"), "10.1.0.3:8080")
		if l := w.forwarder.current(); !l.healthy() {
			t.Error("unhealthy, though all is forwarded")
		}
		if !strings.Contains(w.log.String(), "[ERROR] a pass failed") {
			t.Errorf("the log is\n%s", w.log)
		}
	})
}

// What somebody else deleted is found and made again.
func TestRepair(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		_, p := begun(t, w)
		p.set(&p.checkErr, errKernel)
		wait(checkEvery)
		wants(t, "after a check", p.taken(), "adopt 1")
		if got := value(t, w, "nameplane_vip_repairs_total"); got != 1 {
			t.Errorf("%v repairs", got)
		}
	})
}

// Once an hour all is compared, whatever the checks say.
func TestFull(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		_, p := begun(t, w)
		wait(3*fullEvery + time.Minute)
		wants(t, "after 3 hours", p.taken(), "adopt 1, adopt 1, adopt 1")
	})
}

// A plane whose own work stopped gets to do it again, and all that it may have lost.
func TestPlaneStops(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.stops = errKernel
		v := w.begin(plainCorefile)
		v.sync()
		wait(minBackoff + time.Second)
		p := w.planes[0]
		if p.runs != 2 || p.taken() == "" {
			t.Errorf("it ran %d times", p.runs)
		}
		if !strings.Contains(w.log.String(), "[ERROR] a part of forwarding stopped") {
			t.Errorf("the log is\n%s", w.log)
		}
	})
}

// An API server that is away takes nothing away.
func TestSourceFails(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v, p := begun(t, w)
		v.lease.Writer.Fail("no route")
		wait(10 * time.Minute)
		wants(t, "meanwhile", p.taken(), "")
		wants(t, "a", p.backends("a"), "10.1.0.1:8080")
	})
}

// What cannot be served is told once.
func TestRefusals(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v := w.begin(". {\n vip {\n  mode relay\n  service_cidr 10.97.0.0/16\n }\n}\n")
		v.web("a", 1, "10.1.0.1")
		v.sync()
		wait(time.Second)
		v.web("a", 1, "10.1.0.2")
		wait(2 * fullEvery)
		const line = "[WARN] a part of a service is not forwarded"
		if got := strings.Count(w.log.String(), line); got != 1 {
			t.Errorf("told %d times in\n%s", got, w.log)
		}
		if got := value(t, w, "nameplane_vip_refused"); got != 1 {
			t.Errorf("%v refused, want 1", got)
		}
	})
}

// The API server's own address among those that are forwarded is a trap that is told of.
func TestServerBehindItself(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v := w.begin(". {\n vip {\n  mode relay\n  endpoint https://10.96.0.1:443\n }\n}\n")
		v.web("a", 1, "10.1.0.1")
		v.sync()
		wait(2 * fullEvery)
		if got := strings.Count(w.log.String(), "the API server is reached by a virtual IP"); got != 1 {
			t.Errorf("told %d times in\n%s", got, w.log)
		}
	})
}

// When the node gets another address, NodePorts answer there.
func TestNodeAddresses(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v, p := begun(t, w)
		for _, test := range []struct{ name, addr, calls string }{
			{name: "known", addr: "192.168.0.1", calls: "adopt 1"},
			{name: "the same", addr: "192.168.0.1", calls: ""},
			{name: "another", addr: "192.168.0.2", calls: "adopt 1"},
		} {
			v.lease.Writer.PutNode(&cluster.Node{Name: "n1", Addrs: []cluster.Addr{cluster.AddrFrom(netip.MustParseAddr(test.addr))}})
			wait(time.Second)
			wants(t, test.name, p.taken(), test.calls)
			wants(t, test.name, fmt.Sprint(p.policy.NodePortAddrs), "["+test.addr+"/32]")
		}
	})
}
