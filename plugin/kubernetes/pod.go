package kubernetes

import (
	"bytes"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/server/wire"
)

// podAnswer answers a pod's name: its address with dashes, below its namespace. Labels left of it don't matter.
func (l *lookup) podAnswer(n *name) (exists bool) {
	addr, ok := cluster.ParseLabel(n.pod)
	if !ok || l.k.pods == podsVerified && !(spells(n.pod, addr) && l.k.hasPod(n.namespace, addr)) {
		return false
	}
	if t := l.Query.Type; (t == dns.TypeA || t == dns.TypeAAAA) && l.wants(&addr) {
		l.Reply.Address(wire.QuestionName, addr.Bytes(), l.k.ttl)
	}
	return true
}

// spells tells whether a label is the address as pods have it in the API. Unlike an endpoint's label it may end in a
// dash: "fd00-1--" is a pod, "fd00-1--0" an endpoint.
func spells(label []byte, addr cluster.Addr) bool {
	var buf [48]byte
	text := addr.AppendDashed(buf[:0])
	if bytes.HasSuffix(text, []byte("--0")) {
		text = text[:len(text)-1]
	}
	return string(text) == string(label)
}

// hasPod tells whether a pod of the namespace, a label in wire form, has the address.
func (k *Kubernetes) hasPod(namespace []byte, addr cluster.Addr) bool {
	for p := k.store.PodAt(addr); p != nil; p = p.Next() {
		if p.Namespace == string(namespace[1:]) {
			return true
		}
	}
	return false
}
