package manifest

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"

	"github.com/nameplane/nameplane/cluster"
)

// nodePorts gives node ports to services that want them and have none, as addresses gives virtual IPs: by name, so that
// they stay while other services come and go.
type nodePorts struct {
	owners map[uint16]*service
}

// The API server's default for --service-node-port-range. It too leaves the lower part to those who choose by hand.
const (
	firstNodePort  = 30000
	byHandPorts    = 86
	countNodePorts = 2768
)

// nodePorts completes the services. Those that name their own ports come first.
func (out *state) nodePorts(services []*service) {
	all := nodePorts{owners: map[uint16]*service{}}
	for _, s := range services {
		if s.spec.Forwarding != nil {
			forwarding := *s.spec.Forwarding // the file's own stays as it is written
			forwarding.NodePorts = slices.Clone(forwarding.NodePorts)
			s.spec.Forwarding = &forwarding
			out.ownNodePorts(all, s)
		}
	}
	for _, s := range services {
		if s.spec.Forwarding == nil {
			continue
		}
		if !all.fill(s) {
			out.problemf("%s: Service %s: no node port is left in %d-%d", s.at, s.title(), firstNodePort, firstNodePort+countNodePorts-1)
		}
	}
}

// ownNodePorts claims the ports that a service names. One that another has is left out: the API server would refuse it.
func (out *state) ownNodePorts(all nodePorts, s *service) {
	f := s.spec.Forwarding
	claim := func(port *uint16) {
		if *port == 0 {
			return
		}
		if other := all.owners[*port]; other != nil && other != s {
			out.problemf("%s: Service %s: node port %d is the one of Service %s (%s) too; it is left out here", s.at, s.title(), *port, other.title(), other.at)
			*port = 0
			return
		}
		all.owners[*port] = s
	}
	named := slices.Clone(f.NodePorts)
	clear(f.NodePorts)
	for i, port := range named {
		if port != 0 && usesNodePort(s, port, s.spec.Ports[i].Protocol) {
			out.problemf("%s: Service %s: node port %d is there twice for %s; it is left out the second time", s.at, s.title(), port, s.spec.Ports[i].Protocol)
			continue
		}
		f.NodePorts[i] = port
		claim(&f.NodePorts[i])
	}
	if f.HealthPort != 0 && slices.Contains(f.NodePorts, f.HealthPort) {
		out.problemf("%s: Service %s: healthCheckNodePort %d is one of its node ports too; it is left out", s.at, s.title(), f.HealthPort)
		f.HealthPort = 0
	}
	claim(&f.HealthPort)
}

// fill gives a service the ports that it lacks; false when there is none left.
func (p nodePorts) fill(s *service) bool {
	f := s.spec.Forwarding
	if s.wantsHealthPort && f.HealthPort == 0 {
		if f.HealthPort = p.take(s, "healthCheckNodePort"); f.HealthPort == 0 {
			return false
		}
	}
	if !s.wantsNodePorts || len(s.spec.Ports) == 0 {
		return true
	}
	if f.NodePorts == nil {
		f.NodePorts = make([]uint16, len(s.spec.Ports))
	}
	for i := range f.NodePorts {
		if f.NodePorts[i] == 0 {
			f.NodePorts[i] = p.shared(s, i)
		}
		if f.NodePorts[i] == 0 {
			f.NodePorts[i] = p.take(s, strconv.Itoa(int(s.spec.Ports[i].Number)))
		}
		if f.NodePorts[i] == 0 {
			return false
		}
	}
	return true
}

// shared is the node port of the same port in another protocol: a name server's UDP and TCP are on one.
func (p nodePorts) shared(s *service, i int) uint16 {
	for j, port := range s.spec.Forwarding.NodePorts {
		if port != 0 && s.spec.Ports[j].Number == s.spec.Ports[i].Number && !usesNodePort(s, port, s.spec.Ports[i].Protocol) {
			return port
		}
	}
	return 0
}

func usesNodePort(s *service, nodePort uint16, protocol cluster.Protocol) bool {
	for i, port := range s.spec.Forwarding.NodePorts {
		if port == nodePort && s.spec.Ports[i].Protocol == protocol {
			return true
		}
	}
	return false
}

// take is a free port; 0 when there is none left.
func (p nodePorts) take(s *service, what string) uint16 {
	hash := fnv.New64a()
	_, _ = fmt.Fprintf(hash, "%s/%s/%s", s.namespace, s.name, what) // never fails
	const usual = countNodePorts - byHandPorts
	for i := range uint64(usual) {
		if port := uint16(firstNodePort + byHandPorts + (hash.Sum64()+i)%usual); p.claim(port, s) {
			return port
		}
	}
	for i := range uint16(byHandPorts) {
		if p.claim(firstNodePort+i, s) {
			return firstNodePort + i
		}
	}
	return 0
}

func (p nodePorts) claim(port uint16, s *service) bool {
	if p.owners[port] != nil {
		return false
	}
	p.owners[port] = s
	return true
}
