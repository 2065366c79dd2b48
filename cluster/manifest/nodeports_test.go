package manifest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nameplane/nameplane/cluster"
)

func ofNodePort(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {type: NodePort, ports: [{port: 80}]}\n", name)
	}
	return b.String()
}

func givenPorts(t *testing.T, text string) (byName map[string]uint16, problems []string) {
	t.Helper()
	store, problems := load(t, forwarded(), text)
	byName = map[string]uint16{}
	store.Services(func(s *cluster.Service) {
		byName[s.Name()] = 0
		if s.Forwarding.NodePorts != nil {
			byName[s.Name()] = s.Forwarding.NodePorts[0]
		}
	})
	return byName, problems
}

// TestNodePortsAreStable: half of two hundred services are taken away, and nearly all others keep their port.
func TestNodePortsAreStable(t *testing.T) {
	t.Parallel()
	var names []string
	for i := range 200 {
		names = append(names, fmt.Sprint("s", i))
	}
	all, problems := givenPorts(t, ofNodePort(names...))
	half, _ := givenPorts(t, ofNodePort(names[:100]...))
	taken := map[uint16]bool{}
	moved := 0
	for name, port := range all {
		if port < firstNodePort+byHandPorts || port >= firstNodePort+countNodePorts || taken[port] {
			t.Errorf("%s has port %d", name, port)
		}
		taken[port] = true
		if other, ok := half[name]; ok && other != port {
			moved++
		}
	}
	if len(all) != 200 || problems != nil || moved > 10 {
		t.Errorf("%d services, problems %v; %d of 100 moved", len(all), problems, moved)
	}
}

// TestNodePortsRunOut: who comes last, by name, has none, and is told so; all ports are given, those for choice by hand last.
func TestNodePortsRunOut(t *testing.T) {
	t.Parallel()
	var names []string
	for i := range countNodePorts + 2 {
		names = append(names, fmt.Sprintf("s%05d", i))
	}
	all, problems := givenPorts(t, ofNodePort(names...))
	given := map[uint16]bool{}
	for _, port := range all {
		given[port] = true
	}
	if len(given) != countNodePorts+1 || !given[firstNodePort] || !given[firstNodePort+countNodePorts-1] || !given[0] {
		t.Errorf("%d different ports", len(given))
	}
	if len(problems) != 2 || !strings.Contains(problems[1], "Service default/"+names[countNodePorts+1]+": no node port is left in 30000-32767") {
		t.Errorf("problems: %v", problems)
	}
}

// TestBadNode: an address that is none costs nothing else.
func TestBadNode(t *testing.T) {
	t.Parallel()
	store, problems := load(t, forwarded(), `
apiVersion: v1
kind: Node
metadata: {name: node-1}
status:
  addresses:
  - {type: InternalIP, address: 10.0.0.256}
  - {type: InternalDNS, address: not.an.address}
  - {type: ExternalIP, address: 192.0.2.1}
`)
	want := []string{`0.yaml:7: Node node-1: status.addresses[0].address "10.0.0.256": not an IP address; it is left out`}
	if n := store.Node(); n == nil || len(n.Addrs) != 1 || n.Addrs[0].String() != "192.0.2.1" || !slices.Equal(problems, want) {
		t.Errorf("node %+v, problems %v", n, problems)
	}
}
