package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/nameplane/nameplane/cluster"
)

// Explanation is what becomes of a client's new connections to an address, and why.
type Explanation struct {
	Key    Key
	Client netip.Addr // not valid for any pod
	From   From

	Service  string    // "namespace/name" of whose the key is; empty for nobody's
	Frontend *Frontend // nil for none
	// Ours tells that Verdict counts. What is not ours goes where the routes of the machine lead it.
	Ours       bool
	Verdict    Verdict
	Why        string // the reason for anything but Forward
	Masquerade bool   // the endpoint sees this node's address in place of the client's
	Hairpin    bool   // the client is one of the endpoints; when it gets itself, it is masqueraded
	Endpoints  []EndpointShare
	Notes      []string // what else there is to know: who else wants the key, what else the address has
}

// EndpointShare is one endpoint of the service, and which share of the connections it gets.
type EndpointShare struct {
	At    netip.AddrPort // port 0 where its slice has none for the service's port
	Node  string         // name of its node; empty when it is not known
	Zone  string         // its topology zone, likewise
	Share float64        // 0 to 1; the sum is 1 when the verdict is Forward, else 0
	Fate  Fate           // why
}

// Explain tells what becomes of a client's new connections to a key. The client is a pod, this node, or somebody outside,
// by its address; an invalid address is any pod. It is for slow paths: it looks through all services.
func (s *State) Explain(key Key, client netip.Addr) Explanation {
	x := Explanation{Key: key, Client: client, From: s.view.from(client)}
	e, f := s.holder(key)
	if f == nil {
		s.explainMiss(&x)
		s.neighbours(&x, nil)
		return x
	}
	x.Service, x.Frontend, x.Ours = e.svc.String(), f, true
	target := f.Target(x.From)
	x.Verdict = target.Verdict
	local := f.Kind == ClusterIP && e.svc.Forwarding.InternalLocal || f.Kind != ClusterIP && e.svc.Forwarding.ExternalLocal && x.From == FromOutside
	why, in := s.view.policy.LetsIn(f, client, x.From)
	switch {
	case !in:
		x.Verdict, x.Why = Drop, why
	case target.Verdict == Reject:
		x.Why = "no endpoint can be used"
	case target.Verdict == Drop:
		x.Why = "the traffic policy is Local, and no endpoint on this node can be used"
	default:
		x.Masquerade = f.Masquerades(x.From)
	}
	s.shares(&x, e.svc, local)
	s.neighbours(&x, e)
	return x
}

// from is where a client is, as far as the API tells.
func (v *view) from(client netip.Addr) From {
	if !client.IsValid() {
		return FromPod
	}
	return v.policy.From(client, client.IsLoopback() || v.isNodeAddr(client))
}

// holder is who has a key; an address of the node stands for the NodePorts on it.
func (s *State) holder(key Key) (*entry, *Frontend) {
	if len(s.claims[key]) == 0 && contains(s.view.nodePortAddrs(), key.Addr) {
		key = key.nodePort()
	}
	have := s.claims[key]
	if len(have) == 0 {
		return nil, nil
	}
	e := have[0].by
	at, ok := e.gets.find(key)
	if !ok {
		return nil, nil
	}
	return e, &e.gets.Frontends[at]
}

// explainMiss tells what becomes of an address and port that nobody has.
func (s *State) explainMiss(x *Explanation) {
	for _, e := range s.entries {
		for i := range e.gets.Frontends {
			if f := &e.gets.Frontends[i]; f.Kind == ClusterIP && f.Key.Addr == x.Key.Addr {
				x.Ours, x.Verdict = true, Reject
				x.Why = fmt.Sprintf("the cluster IP is that of %v, which has no port %d/%v", e.svc, x.Key.Port, x.Key.Protocol)
				return
			}
		}
	}
	switch policy := s.view.policy; {
	case policy.DropsUnallocated() && contains(policy.ServiceCIDRs, x.Key.Addr):
		x.Ours, x.Verdict = true, Drop
		x.Why = "it is in the service CIDRs (" + spell(policy.ServiceCIDRs) + "), and no service has it"
	case x.Key.Addr.IsLoopback() && len(s.claims[x.Key.nodePort()]) > 0:
		x.Why = "node ports do not answer on loopback addresses"
	default:
		x.Why = "no virtual IP of ours: it goes where the machine's routes lead"
	}
}

// shares lists the service's endpoints, those that get clients first.
func (s *State) shares(x *Explanation, svc *cluster.Service, local bool) {
	list := s.view.join(svc, cluster.Port{Name: x.Frontend.Port, Protocol: x.Key.Protocol}, x.Key.Addr.Is4())
	judge(list, local)
	used := 0
	for i := range list {
		if list[i].fate.used() {
			used++
		}
	}
	for i := range list {
		c := &list[i]
		b := svc.Backends.At(c.index)
		share := EndpointShare{At: c.at, Node: b.Node, Zone: b.Zone, Fate: c.fate}
		if c.fate.used() && x.Verdict == Forward {
			share.Share = 1 / float64(used)
			x.Hairpin = x.Hairpin || c.at.Addr() == x.Client
		}
		x.Endpoints = append(x.Endpoints, share)
	}
	slices.SortStableFunc(x.Endpoints, func(a, b EndpointShare) int { return bad(!a.Fate.used()) - bad(!b.Fate.used()) })
}

// neighbours notes what others have or want of the address.
func (s *State) neighbours(x *Explanation, owner *entry) {
	var list []string
	for _, e := range s.entries {
		for i := range e.gets.Frontends {
			f := &e.gets.Frontends[i]
			if e != owner && f.Kind != NodePort && f.Key.Addr == x.Key.Addr {
				list = append(list, fmt.Sprintf("%v has %v of the same address", e.svc, f.Key))
			}
		}
		for key := range e.wants.claims() {
			if e != owner && x.Frontend != nil && key == x.Frontend.Key {
				list = append(list, fmt.Sprintf("%v wants it as well, and does not get it", e.svc))
			}
		}
		for _, r := range e.gets.Refused {
			if x.Frontend == nil && strings.HasSuffix(r.What, " "+x.Key.Addr.String()) {
				list = append(list, fmt.Sprintf("%v is refused its %v", e.svc, r))
			}
		}
	}
	slices.SortFunc(list, cmp.Compare[string])
	x.Notes = list
}
