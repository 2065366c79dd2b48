package vip

import (
	"testing"
	"time"

	"github.com/nameplane/nameplane/cluster"
)

func TestQueue(t *testing.T) {
	t.Parallel()
	clock := time.Unix(1000, 0)
	q := newQueue(func() time.Time { return clock })
	w, n := cluster.NewStore()
	n.PutService(&cluster.ServiceSpec{Namespace: "default", Name: "a", Type: cluster.Headless})
	key, _ := cluster.ServiceKey("default", "a")
	a := w.Service([]byte(key))
	see := func(kind cluster.Kind, svc *cluster.Service, trigger time.Time) {
		clock = clock.Add(time.Second)
		q.observe(cluster.Change{Kind: kind, Service: svc, Trigger: trigger})
	}
	is := func(when string, want backlog, last int64) {
		t.Helper()
		got, at := q.waiting()
		if got.services != want.services || got.slices != want.slices || !got.first.Equal(want.first) || at.Unix() != last {
			t.Errorf("%s: %+v at %s, want %+v at %d", when, got, at, want, last)
		}
	}
	see(cluster.KindPod, nil, time.Time{})
	see(cluster.KindNamespace, nil, time.Time{})
	if q.waits() {
		t.Error("pods and namespaces are nothing to forward")
	}
	see(cluster.KindService, a, time.Time{})
	see(cluster.KindEndpointSlice, a, time.Unix(7, 0))
	is("two changes", backlog{services: 1, slices: 1, first: time.Unix(1003, 0)}, 1004)
	if got := q.take(); len(got) != 1 || got[key] != a || q.waits() {
		t.Errorf("%v is taken", got)
	}
	see(cluster.KindNode, nil, time.Time{})
	is("one on its way", backlog{services: 1, slices: 1, first: time.Unix(1003, 0)}, 1005)
	if got := q.done(); len(got.triggers) != 1 || got.services != 1 {
		t.Errorf("%+v is done", got)
	}
	is("the node", backlog{first: time.Unix(1005, 0)}, 1005)
	if got := q.take(); len(got) != 0 {
		t.Errorf("%v is taken", got)
	}
	q.done()
	is("nothing", backlog{}, 1005)
	for range maxTriggers + 10 {
		see(cluster.KindEndpointSlice, a, time.Unix(7, 0))
	}
	q.take()
	see(cluster.KindEndpointSlice, a, time.Unix(7, 0))
	q.take()
	if got := q.done(); len(got.triggers) != maxTriggers || got.slices != maxTriggers+11 {
		t.Errorf("%d triggers of %d changes are kept", len(got.triggers), got.slices)
	}
}
