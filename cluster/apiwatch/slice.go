package apiwatch

import (
	"strings"

	"github.com/nameplane/nameplane/cluster"
)

// readSlice is what matters of an EndpointSlice. It fills spec, whose slices are used again.
func readSlice(object []byte, needs cluster.Needs, spec *cluster.SliceSpec) (meta metadata, flaws []flaw, err error) {
	*spec = cluster.SliceSpec{Ports: spec.Ports[:0], Endpoints: spec.Endpoints[:0], Backends: needs.Forwarding}
	m := message{rest: object}
	for m.next() {
		switch m.number {
		case 1:
			m.metadata(&meta)
		case 2:
			var e endpoint
			m.adopt(e.read(m.inner(), needs))
			flaws = append(flaws, e.apply(spec, needs)...)
		case 3:
			port, _ := m.port(&flaws)
			spec.Ports = append(spec.Ports, port)
		case 4:
			if string(m.bytes) == "FQDN" {
				flaws = append(flaws, flaw{"address type", "FQDN"})
			}
		}
	}
	if fqdn(flaws) { // its addresses are names, which are no flaws of their own
		spec.Endpoints, flaws = spec.Endpoints[:0], []flaw{{"address type", "FQDN"}}
	}
	spec.Namespace, spec.Name, spec.Service, spec.Trigger = meta.namespace, meta.name, meta.service, meta.trigger
	if needs.Imports {
		spec.Import, spec.Cluster = meta.imported, meta.cluster
		if !needs.Endpoints {
			spec.Service = ""
		}
	}
	return meta, flaws, m.err
}

func fqdn(flaws []flaw) bool {
	for _, f := range flaws {
		if f == (flaw{"address type", "FQDN"}) {
			return true
		}
	}
	return false
}

// endpoint is one element of an EndpointSlice's endpoints.
type endpoint struct {
	addresses  [][]byte
	conditions conditions
	hostname   []byte
	pod        []byte // targetRef.name
	node       []byte
	zone       []byte
	hints      message
	first      [1][]byte // room for the usual single address
}

// conditions are what is said of an endpoint: 0 not, 1 false, 2 true.
type conditions struct{ ready, serving, terminating uint8 }

func (c *conditions) read(m message) error {
	for m.next() {
		said := uint8(1)
		if m.value != 0 {
			said = 2
		}
		switch m.number {
		case 1:
			c.ready = said
		case 2:
			c.serving = said
		case 3:
			c.terminating = said
		}
	}
	return m.err
}

// apply is what they mean: an endpoint is ready unless that is denied, and serving as it is ready unless that is said.
func (c *conditions) apply(e *cluster.EndpointSpec) {
	e.Unready, e.Terminating = c.ready == 1, c.terminating == 2
	e.Unserving = c.serving == 1 || c.serving == 0 && e.Unready
}

func (e *endpoint) read(m message, needs cluster.Needs) error {
	e.addresses = e.first[:0]
	for m.next() {
		switch m.number {
		case 1:
			e.addresses = append(e.addresses, m.bytes)
		case 2:
			m.adopt(e.conditions.read(m.inner()))
		case 3:
			e.hostname = m.bytes
		case 4:
			if needs.PodNames {
				e.pod = m.targetName()
			}
		case 6:
			e.node = m.bytes
		case 7:
			e.zone = m.bytes
		case 8:
			e.hints = m.inner()
		}
	}
	return m.err
}

// targetName reads the current field as an ObjectReference.
func (m *message) targetName() (name []byte) {
	in := m.inner()
	for in.next() {
		if in.number == 3 {
			name = in.bytes
		}
	}
	m.adopt(in.err)
	return name
}

// apply adds the endpoint's addresses: names need it only when it is ready, virtual IPs always.
func (e *endpoint) apply(spec *cluster.SliceSpec, needs cluster.Needs) (flaws []flaw) {
	out := cluster.EndpointSpec{Name: string(e.hostname)}
	switch {
	case needs.Forwarding:
		e.conditions.apply(&out)
		out.Place = e.place()
	case e.conditions.ready == 1:
		return nil
	}
	if needs.Zones {
		out.Zone = string(e.zone)
	}
	if out.Name == "" && len(e.pod) > 0 && len(e.pod) < 64 {
		out.Name, out.PodName = string(e.pod), true
	}
	for i, raw := range e.addresses {
		text := string(raw)
		addr, err := cluster.ParseAddr(text)
		if err != nil {
			flaws = append(flaws, flaw{"endpoint address", text})
			continue
		}
		each := out
		each.Addr, each.Further = addr, i > 0 && needs.Forwarding
		if each.Name == "" && unusual(text, addr) {
			each.Name = dashed(text)
		}
		spec.Endpoints = append(spec.Endpoints, each)
	}
	return flaws
}

// place is where the endpoint is, with its hints. Hints that cannot be read are none.
func (e *endpoint) place() *cluster.Place {
	p := &cluster.Place{Node: string(e.node), Zone: string(e.zone)}
	for m := e.hints; m.next(); {
		name := message{rest: m.bytes}
		for name.next() {
			switch {
			case name.number == 1 && m.number == 1:
				p.ForZones = append(p.ForZones, string(name.bytes))
			case name.number == 1 && m.number == 2:
				p.ForNodes = append(p.ForNodes, string(name.bytes))
			}
		}
	}
	return p
}

// unusual tells that text is not how addr is commonly written.
func unusual(text string, addr cluster.Addr) bool {
	var room [46]byte // INET6_ADDRSTRLEN
	return string(addr.Netip().AppendTo(room[:0])) != text
}

// dashed is the label of an endpoint by the address as its slice spells it (Kubernetes DNS specification 1.1.0, section
// 2.4.1): clients have the spelling from the API, too.
func dashed(text string) string {
	label := strings.NewReplacer(".", "-", ":", "-").Replace(text)
	if strings.HasSuffix(label, "-") {
		label += "0"
	}
	return label
}
