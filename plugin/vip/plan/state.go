package plan

import (
	"cmp"
	"slices"

	"github.com/nameplane/nameplane/cluster"
)

// State is the plan of all services, kept current one service at a time. It knows what spans them: whose an address and
// port is. What Put and the others return are the services that became something else; a plane has to make the whole list
// so at once, for in it one service may give up a Key that another one gets.
//
// When two services want the same Key, the rule does not depend on who came first, so that every node and every restart
// decides alike: a cluster IP is stronger than a load balancer's address, which is stronger than an external one, for that
// is how far they are checked; else the first by namespace and name has it. The other is told so in its Refused, keeps all
// the rest, and gets the Key when it becomes free.
//
// A State is for one goroutine at a time. What it returns is immutable.
type State struct {
	view    view
	entries map[string]*entry // by cluster.Service.Key
	claims  map[Key][]claim   // the first one has it
}

// entry is one service.
type entry struct {
	svc   *cluster.Service
	wants *Service // what it would become alone
	gets  *Service // what others leave of that
}

type claim struct {
	kind Kind
	by   *entry
}

// NewState is the plan of no services. The node is nil while it is not known.
func NewState(policy *Policy, node *cluster.Node) *State {
	return &State{view: view{policy, node}, entries: map[string]*entry{}, claims: map[Key][]claim{}}
}

// Put adds or replaces a service; a record of type Absent deletes it.
func (s *State) Put(svc *cluster.Service) (changed []*Service) {
	e := s.entries[svc.Key()]
	if svc.Type == cluster.Absent {
		return s.remove(e)
	}
	if e == nil {
		empty := &Service{Namespace: svc.Namespace(), Name: svc.Name()}
		e = &entry{wants: empty, gets: empty}
		s.entries[svc.Key()] = e
	}
	e.svc = svc
	touched := touched{}
	s.want(e, s.view.service(svc), touched)
	return touched.settle(s)
}

// Delete removes a service.
func (s *State) Delete(namespace, name string) (changed []*Service) {
	key, _ := cluster.ServiceKey(namespace, name)
	return s.remove(s.entries[key])
}

func (s *State) remove(e *entry) []*Service {
	if e == nil {
		return nil
	}
	delete(s.entries, e.svc.Key())
	touched := touched{}
	s.want(e, &Service{Namespace: e.gets.Namespace, Name: e.gets.Name}, touched)
	return touched.settle(s)
}

// Policy is the policy as a plane has to be given it: with this node's primary addresses, the first of each family, where
// the operator named none for NodePorts to answer on.
func (s *State) Policy() *Policy {
	p := *s.view.policy
	p.NodePortAddrs = s.view.nodePortAddrs()
	return &p
}

// SetPolicy plans all services anew.
func (s *State) SetPolicy(policy *Policy) (changed []*Service) {
	return s.look(view{policy, s.view.node})
}

// SetNode plans all services anew when something that counts for them changed of the node; nil when it is not known.
func (s *State) SetNode(node *cluster.Node) (changed []*Service) {
	if old := s.view.node; old == node || old != nil && node != nil && old.Name == node.Name && old.Zone == node.Zone && slices.Equal(old.Addrs, node.Addrs) {
		s.view.node = node
		return nil
	}
	return s.look(view{s.view.policy, node})
}

func (s *State) look(from view) []*Service {
	s.view = from
	touched := touched{}
	for _, e := range s.entries {
		s.want(e, s.view.service(e.svc), touched)
	}
	return touched.settle(s)
}

// All are the services that became something, sorted by namespace and name.
func (s *State) All() []*Service {
	var all []*Service
	for _, e := range s.entries {
		if len(e.gets.Frontends) > 0 || len(e.gets.Refused) > 0 || e.gets.Health != nil {
			all = append(all, e.gets)
		}
	}
	slices.SortFunc(all, byName)
	return all
}

func byName(a, b *Service) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// touched are the services whose outcome may be another one.
type touched map[*entry]struct{}

// settle gives each what it gets now, and returns those for which that is something else, by name.
func (t touched) settle(s *State) (changed []*Service) {
	for e := range t {
		gets := s.grant(e)
		switch {
		case !gets.equal(e.gets):
			e.gets = gets
			changed = append(changed, gets)
		case gets == e.wants:
			e.wants = e.gets // not two copies of the same
		}
	}
	slices.SortFunc(changed, byName)
	return changed
}

// want replaces a service's claims by those of next. Whoever wins or loses by that is touched.
func (s *State) want(e *entry, next *Service, t touched) {
	t[e] = struct{}{}
	old := e.wants
	e.wants = next
	for key, kind := range old.claims() {
		if !next.claimed(key, kind) {
			s.release(key, e, t)
		}
	}
	for key, kind := range next.claims() {
		if !old.claimed(key, kind) {
			s.claim(key, claim{kind, e}, t)
		}
	}
}

// claim enters a claim by its rank.
func (s *State) claim(key Key, c claim, t touched) {
	have := s.claims[key]
	at, _ := slices.BinarySearchFunc(have, c, byRank)
	if at == 0 {
		t.add(have)
	}
	s.claims[key] = slices.Insert(have, at, c)
}

// release takes a service's claim back.
func (s *State) release(key Key, e *entry, t touched) {
	have := s.claims[key]
	at := slices.IndexFunc(have, func(c claim) bool { return c.by == e })
	have = slices.Delete(have, at, at+1)
	if at == 0 {
		t.add(have)
	}
	if len(have) == 0 {
		delete(s.claims, key)
		return
	}
	s.claims[key] = have
}

// byRank orders claims for the same key, the strongest first.
func byRank(a, b claim) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), byName(a.by.wants, b.by.wants))
}

// add touches all of some claims: their owner became another one, which each was or has to be told.
func (t touched) add(claims []claim) {
	for _, c := range claims {
		t[c.by] = struct{}{}
	}
}

// grant is what is left of a service without what others have; the service itself when nobody has any of it.
func (s *State) grant(e *entry) *Service {
	var without *Service
	for key := range e.wants.claims() {
		owner := s.claims[key][0].by
		if owner == e {
			continue
		}
		if without == nil {
			without = e.wants.clone()
		}
		without.lose(key, owner.wants.Namespace+"/"+owner.wants.Name)
	}
	if without == nil {
		return e.wants
	}
	return without
}
