package cluster

import (
	"slices"
	"testing"
)

func TestNode(t *testing.T) {
	t.Parallel()
	s, w := NewStore()
	w.Expect("test", KindNode)
	w.BeginList(KindNode)
	w.EndList(KindNode)
	if s.Node() != nil || !s.Synced() {
		t.Fatal("a list without the node is a list, and there is no node")
	}
	count := func(want int) {
		t.Helper()
		if got := s.Status().Objects[KindNode]; got != want {
			t.Errorf("%d nodes counted, want %d", got, want)
		}
	}
	first := &Node{Name: "a", Addrs: addresses(t, "10.0.0.1")}
	w.PutNode(first)
	w.PutNode(&Node{Name: "a", Addrs: addresses(t, "10.0.0.1")})
	if s.Node() != first {
		t.Error("a node that is as it was is another")
	}
	for _, change := range []*Node{
		{Name: "a"}, {Name: "a", Zone: "z"}, {Name: "a", Leaving: true}, {Name: "a", Addrs: addresses(t, "10.0.0.2")}, {Name: "b"},
	} {
		if w.PutNode(change); s.Node() != change {
			t.Errorf("%+v was not taken", change)
		}
	}
	count(1)
	w.BeginList(KindNode)
	w.PutNode(&Node{Name: "b"})
	w.EndList(KindNode)
	count(1)
	w.BeginList(KindNode)
	if s.Node() == nil {
		t.Error("gone before the list's end")
	}
	w.EndList(KindNode)
	w.DeleteNode("b")
	if s.Node() != nil || s.Serial() != 0 {
		t.Errorf("node %v after a list without it; serial %d", s.Node(), s.Serial())
	}
	count(0)
}

func TestPickNodeAddrs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name                     string
		internal, external, want []Addr
	}{
		{name: "none"},
		{
			name:     "internal ones",
			internal: addresses(t, "10.0.0.1", "fd00::1", "10.0.0.2"), external: addresses(t, "192.0.2.1", "2001:db8::1"),
			want: addresses(t, "10.0.0.1", "fd00::1", "10.0.0.2"),
		},
		{name: "external ones", external: addresses(t, "2001:db8::1", "192.0.2.1"), want: addresses(t, "192.0.2.1", "2001:db8::1")},
		{
			name:     "each family for itself",
			internal: addresses(t, "10.0.0.1"), external: addresses(t, "192.0.2.1", "2001:db8::1"),
			want: addresses(t, "10.0.0.1", "2001:db8::1"),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := PickNodeAddrs(test.internal, test.external); !slices.Equal(got, test.want) {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}
