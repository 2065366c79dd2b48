package plan

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"
)

// claims are the keys that a service wants for itself, with the rank of each. The port for health checks is one as well:
// it has no address, since it is the node's own.
func (s *Service) claims() iter.Seq2[Key, Kind] {
	return func(yield func(Key, Kind) bool) {
		for i := range s.Frontends {
			if !yield(s.Frontends[i].Key, s.Frontends[i].Kind) {
				return
			}
		}
		if s.Health != nil {
			yield(s.Health.key(), NodePort)
		}
	}
}

func (h *HealthCheck) key() Key { return Key{Port: h.Port} }

// claimed tells whether claims has this pair.
func (s *Service) claimed(key Key, kind Kind) bool {
	if !key.Addr.IsValid() {
		return s.Health != nil && s.Health.key() == key
	}
	at, ok := s.find(key)
	return ok && s.Frontends[at].Kind == kind
}

// find is the index of the frontend with this key.
func (s *Service) find(key Key) (at int, ok bool) {
	return slices.BinarySearchFunc(s.Frontends, key, func(f Frontend, k Key) int { return f.Key.Compare(k) })
}

// clone is a copy that lose may be called on.
func (s *Service) clone() *Service {
	c := *s
	c.Frontends, c.Refused = slices.Clone(s.Frontends), slices.Clone(s.Refused)
	return &c
}

// lose takes away what a key stands for, and says who has it.
func (s *Service) lose(key Key, owner string) {
	refusal := Refusal{Why: owner + " has it already"}
	if !key.Addr.IsValid() {
		refusal.What = fmt.Sprintf("health check port %d", key.Port)
		s.Health = nil
	} else if at, ok := s.find(key); ok {
		refusal.What = s.Frontends[at].what()
		s.Frontends = slices.Delete(s.Frontends, at, at+1)
	}
	s.Refused = append(s.Refused, refusal)
}

// equal tells whether two outcomes are the same to their last part.
func (s *Service) equal(o *Service) bool {
	return s == o || s.Namespace == o.Namespace && s.Name == o.Name &&
		(s.Health == nil) == (o.Health == nil) && (s.Health == nil || *s.Health == *o.Health) &&
		slices.Equal(s.Refused, o.Refused) && slices.EqualFunc(s.Frontends, o.Frontends, sameFrontend)
}

func sameFrontend(a, b Frontend) bool {
	return a.Key == b.Key && a.Kind == b.Kind && a.Port == b.Port && a.Affinity == b.Affinity &&
		sameTarget(a.Inside, b.Inside) && sameTarget(a.Outside, b.Outside) &&
		a.Masquerade == b.Masquerade &&
		slices.Equal(a.Sources, b.Sources) && sameBackends(a.Serving, b.Serving)
}

func sameTarget(a, b Target) bool {
	return a.Verdict == b.Verdict && sameBackends(a.Backends, b.Backends)
}

// sameBackends looks first whether it is one slice twice, as it is for the frontends of one port.
func sameBackends(a, b []netip.AddrPort) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.Equal(a, b))
}
