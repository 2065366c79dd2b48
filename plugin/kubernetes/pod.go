package kubernetes

import (
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
)

// podAnswer answers a pod's name: its address with dashes, below its namespace. Labels left of it don't matter.
func (l *lookup) podAnswer(n *name) (exists bool) {
	parse := cluster.ParseLabel
	if l.k.pods == podsVerified {
		parse = cluster.ParseDashed
	}
	addr, ok := parse(n.pod)
	if !ok || l.k.pods == podsVerified && !l.k.hasPod(n.namespace, addr) {
		return false
	}
	if t := l.q.Type; (t == dns.TypeA || t == dns.TypeAAAA) && l.wants(&addr) {
		l.r.Address(questionName, addr.Bytes(), l.k.ttl)
	}
	return true
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
