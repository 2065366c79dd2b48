package k8sexternal

import (
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/server/wire"
)

// endpoints are those of a service that a name asks for. It is for a headless service without external addresses, and
// for one endpoint of any service without them.
type endpoints struct {
	*lookup
	name   *name
	list   *cluster.Endpoints
	addr   cluster.Addr // that the endpoint label spells
	dashed bool         // whether it spells one
}

func (l *lookup) endpointAnswer(n *name) (exists bool) {
	e := endpoints{lookup: l, name: n, list: l.h.cluster.Endpoints(n.svc)}
	e.addr, e.dashed = cluster.ParseDashed(n.endpoint)
	matching := 0
	for i := range e.list.List {
		matching += e.ports(i)
	}
	if matching == 0 {
		return false
	}
	switch l.Query.Type {
	case dns.TypeA, dns.TypeAAAA:
		e.addresses()
	case dns.TypeSRV:
		e.services(wire.Weight(matching))
	}
	return true
}

// ports is the number of endpoint i's ports that the name asks for; 0 for another endpoint than the one that it names.
func (e *endpoints) ports(i int) int {
	one := &e.list.List[i]
	if len(e.name.endpoint) > 0 {
		own := e.list.Name(one, e.h.cluster.PodNames())
		if own != string(e.name.endpoint) && !(own == "" && e.dashed && e.addr == one.Addr) {
			return 0
		}
	}
	return e.name.port.Count(e.list.Ports[one.PortsSet])
}

// addresses appends an A or AAAA record for each address. The list is sorted by address.
func (e *endpoints) addresses() {
	var last *cluster.Addr
	for i := range e.list.List {
		addr := &e.list.List[i].Addr
		if !e.wants(addr) || last != nil && *last == *addr || e.ports(i) == 0 {
			continue
		}
		last = addr
		e.Reply.Address(wire.QuestionName, addr.Bytes(), e.h.ttl)
	}
}

// services appends an SRV record for each label of an endpoint and port number, and the endpoints' addresses.
func (e *endpoints) services(weight uint16) {
	type record struct {
		target string
		port   uint16
	}
	type glue struct {
		target string
		addr   cluster.Addr
	}
	var (
		at    = map[string]wire.Ref{}
		made  = map[record]bool{}
		order []glue
		have  = map[glue]bool{}
	)
	for i := range e.list.List {
		one := &e.list.List[i]
		if e.ports(i) == 0 {
			continue
		}
		label := string(e.list.AppendLabel(nil, one, e.h.cluster.PodNames()))
		if len(label)+len(e.name.svc.Key())+len(e.Zone) > wire.MaxName {
			continue
		}
		ports := e.list.Ports[one.PortsSet]
		for j, p := range ports {
			if p.Number == 0 || !e.name.port.Matches(ports, j) {
				continue
			}
			if r := (record{label, p.Number}); !made[r] {
				made[r] = true
				at[label] = e.Reply.OpenSRV(wire.QuestionName, e.h.ttl, weight, p.Number)
				e.Reply.Text(label)
				e.Reply.Text(e.name.svc.Key())
				e.Reply.Text(string(e.Zone))
				e.Reply.Close()
			}
			if g := (glue{label, one.Addr}); !have[g] {
				have[g] = true
				order = append(order, g)
			}
		}
	}
	e.Reply.Section(wire.Additional)
	for _, g := range order {
		e.Reply.Address(at[g.target], g.addr.Bytes(), e.h.ttl)
	}
}
