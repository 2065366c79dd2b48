package cluster

import "testing"

func TestPodLabels(t *testing.T) {
	t.Parallel()
	store, w := NewStore()
	addr, err := ParseAddr("10.244.0.7")
	if err != nil {
		t.Fatal(err)
	}
	put := func(name string, labels map[string]string) {
		w.PutPod(&PodSpec{Namespace: "default", Name: name, Addrs: []Addr{addr}, Labels: labels})
	}
	find := func(name string) *Pod {
		for p := store.PodAt(addr); p != nil; p = p.Next() {
			if p.Name == name {
				return p
			}
		}
		t.Fatalf("no pod %s", name)
		return nil
	}
	put("a", map[string]string{"app": "web", "empty": "", "app.kubernetes.io/name": "web-1", "bad\x00": "x"})
	put("b", nil)
	for _, test := range []struct {
		name  string
		pod   string
		label string
		want  string
		ok    bool
	}{
		{name: "a value", pod: "a", label: "app", want: "web", ok: true},
		{name: "a name with a prefix", pod: "a", label: "app.kubernetes.io/name", want: "web-1", ok: true},
		{name: "an empty value", pod: "a", label: "empty", ok: true},
		{name: "a value is no name", pod: "a", label: "web"},
		{name: "no such label", pod: "a", label: "ap"},
		{name: "what no label can be", pod: "a", label: "bad"},
		{name: "a pod without labels", pod: "b", label: "app"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, ok := find(test.pod).Label(test.label); got != test.want || ok != test.ok {
				t.Errorf("%q, %v, want %q, %v", got, ok, test.want, test.ok)
			}
		})
	}

	put("a", map[string]string{"app": "shop"})
	if got, _ := find("a").Label("app"); got != "shop" {
		t.Errorf("label after a change: %q, want shop", got)
	}
	if find("b"); store.PodAt(addr).Next().Next() != nil {
		t.Error("a pod is in the chain twice after a change of its labels")
	}
	w.DeletePod("default", "a")
	if p := store.PodAt(addr); p == nil || p.Name != "b" || p.Next() != nil {
		t.Errorf("%v is left, want b alone", p)
	}
}
