package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/nameplane/nameplane/cluster"
)

// service is what a service becomes as far as it alone is concerned: what others own is not looked at.
func (v *view) service(svc *cluster.Service) *Service {
	out := &Service{Namespace: svc.Namespace(), Name: svc.Name()}
	if !v.takes(svc) {
		return out
	}
	addresses, refused := v.addresses(svc)
	out.Refused = refused
	for i, port := range svc.Ports {
		if port.Number == 0 {
			out.Refused = append(out.Refused, Refusal{What: fmt.Sprintf("port %q", port.Name), Why: "its number is 0, want 1 to 65535"})
			continue
		}
		for _, four := range []bool{true, false} {
			out.Frontends = v.port(out.Frontends, svc, i, four, addresses)
		}
	}
	out.dedupe()
	out.Health = v.health(svc)
	return out
}

// port appends the frontends of one port and family.
func (v *view) port(list []Frontend, svc *cluster.Service, i int, four bool, addresses []address) []Frontend {
	var found *targets
	for _, a := range addresses {
		number := svc.Ports[i].Number
		if a.kind == NodePort {
			number = nodePort(svc, i)
		}
		if a.addr.Is4() != four || number == 0 {
			continue
		}
		if found == nil {
			found = v.targets(svc, svc.Ports[i], four)
		}
		list = append(list, v.frontend(svc, svc.Ports[i], a, number, found))
	}
	return list
}

func nodePort(svc *cluster.Service, i int) uint16 {
	if i >= len(svc.Forwarding.NodePorts) {
		return 0
	}
	return svc.Forwarding.NodePorts[i]
}

// targets are the two lists of backends that a service's traffic policies choose from, and what a UDP flow may keep.
type targets struct {
	cluster, local Target
	serving        []netip.AddrPort
}

func (v *view) targets(svc *cluster.Service, port cluster.Port, four bool) *targets {
	t, list := &targets{}, v.join(svc, port, four)
	used := func(c *candidate) bool { return c.fate.used() }
	judge(list, false)
	t.cluster.Backends = chosen(list, used)
	if len(t.cluster.Backends) == 0 {
		t.cluster.Verdict = Reject
	}
	if port.Protocol == cluster.UDP {
		t.serving = chosen(list, func(c *candidate) bool { return c.joined == Used && (c.ready || c.ends()) })
		if slices.Equal(t.serving, t.cluster.Backends) {
			t.serving = t.cluster.Backends
		}
	}
	if svc.Forwarding.InternalLocal || svc.Forwarding.ExternalLocal {
		judge(list, true)
		t.local.Backends = chosen(list, used)
		if len(t.local.Backends) == 0 {
			// With endpoints elsewhere the client shall try again, and reach another node perhaps; with none at all it may know.
			t.local.Verdict = Drop
			if t.cluster.Verdict == Reject {
				t.local.Verdict = Reject
			}
		}
	}
	return t
}

func (v *view) frontend(svc *cluster.Service, port cluster.Port, a address, number uint16, t *targets) Frontend {
	f := Frontend{
		Key:  Key{Addr: a.addr, Port: number, Protocol: port.Protocol},
		Kind: a.kind, Port: port.Name, Affinity: svc.Forwarding.Affinity,
		Inside: t.cluster, Outside: t.cluster, Masquerade: true, Serving: t.serving,
	}
	switch {
	case a.kind == ClusterIP && svc.Forwarding.InternalLocal:
		f.Inside, f.Outside = t.local, t.local
	case a.kind != ClusterIP && svc.Forwarding.ExternalLocal:
		f.Outside, f.Masquerade = t.local, false
	}
	if a.kind == LoadBalancer {
		f.Sources = v.sources(svc, a.addr)
	}
	return f
}

// dedupe sorts the frontends and leaves one for each key. The same address may well be a load balancer's and an external
// one; the former counts, for it may be restricted. Two ports with the same number are a mistake.
func (s *Service) dedupe() {
	slices.SortStableFunc(s.Frontends, func(a, b Frontend) int { return cmp.Or(a.Key.Compare(b.Key), cmp.Compare(a.Kind, b.Kind)) })
	kept := s.Frontends[:0]
	for _, f := range s.Frontends {
		if n := len(kept); n == 0 || kept[n-1].Key != f.Key {
			kept = append(kept, f)
		} else if have := kept[n-1].Port; have != f.Port {
			s.Refused = append(s.Refused, Refusal{
				What: fmt.Sprintf("%s, port %q", f.what(), f.Port),
				Why:  fmt.Sprintf("port %q of the same service has it already", have),
			})
		}
	}
	s.Frontends = slices.Clip(kept)
}

// what is what a Refusal calls a frontend.
func (f *Frontend) what() string {
	if f.Kind == NodePort {
		return fmt.Sprintf("node port %d/%v", f.Key.Port, f.Key.Protocol)
	}
	return fmt.Sprintf("%s, port %d/%v", address{f.Kind, f.Key.Addr}.what(), f.Key.Port, f.Key.Protocol)
}

// health is the port on which load balancers ask for local endpoints, nil for none. An address counts once, whatever the
// number of its ports.
func (v *view) health(svc *cluster.Service) *HealthCheck {
	if !svc.Forwarding.ExternalLocal || svc.Forwarding.HealthPort == 0 {
		return nil
	}
	local := map[netip.Addr]struct{}{}
	for _, port := range svc.Ports {
		for _, four := range []bool{true, false} {
			list := v.join(svc, port, four)
			for i := range list {
				if c := &list[i]; c.joined == Used && c.local && c.ready {
					local[c.at.Addr()] = struct{}{}
				}
			}
		}
	}
	return &HealthCheck{Port: svc.Forwarding.HealthPort, Local: len(local)}
}
