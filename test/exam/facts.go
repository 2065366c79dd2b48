package exam

import (
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/nameplane/nameplane/test/world"
)

// facts are what the judge of a difference has to know about a world.
type facts struct {
	namespaces map[string]*corev1.Namespace
	second     map[string]bool // "namespace/address" of pods' addresses after the first
}

func newFacts(w *world.World) *facts {
	f := &facts{namespaces: map[string]*corev1.Namespace{}, second: map[string]bool{}}
	for _, o := range w.Objects() {
		switch o := o.(type) {
		case *corev1.Namespace:
			f.namespaces[o.Name] = o
		case *corev1.Pod:
			for i, ip := range o.Status.PodIPs {
				if i > 0 {
					f.second[o.Namespace+"/"+ip.IP] = true
				}
			}
		}
	}
	return f
}

// shows tells whether a namespace exists and a Corefile lets it be seen.
func (f *facts) shows(c *corefile, namespace string) bool {
	ns := f.namespaces[namespace]
	return ns != nil && (c.shows == nil || c.shows(ns))
}

// podAddress is the address that a label spells with dashes.
func podAddress(label string) netip.Addr {
	for _, by := range []string{".", ":"} {
		if a, err := netip.ParseAddr(strings.ReplaceAll(label, "-", by)); err == nil {
			return a
		}
	}
	return netip.Addr{}
}
