package plan

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nameplane/nameplane/cluster"
)

// mine is the proxy name of the services in these tests.
const mine = "nameplane"

func testPolicy() *Policy {
	return &Policy{
		Node: "n1", ProxyName: mine, AllowPods: true, AllowNode: true,
		ServiceCIDRs: prefixes("10.96.0.0/16 fd00:96::/112"), PodCIDRs: prefixes("10.1.0.0/16 fd00:1::/48"),
	}
}

func testNode() *cluster.Node {
	return &cluster.Node{Name: "n1", Zone: "a", Addrs: addrs("192.168.0.1 192.168.9.1 fd00:168::1")}
}

// world is a store that tests write services into, to have them as a plan gets them.
type world struct {
	store  *cluster.Store
	writer *cluster.Writer
	n      int
}

func newWorld() *world {
	store, writer := cluster.NewStore()
	return &world{store: store, writer: writer}
}

// service is the record of a service with these slices.
func (w *world) service(spec *cluster.ServiceSpec, slices ...cluster.SliceSpec) *cluster.Service {
	if !w.writer.PutService(spec) {
		panic(fmt.Sprintf("service %q of %q is not taken", spec.Name, spec.Namespace))
	}
	for i, slice := range slices {
		slice.Namespace, slice.Service, slice.Name, slice.Backends = spec.Namespace, spec.Name, spec.Name+"-"+strconv.Itoa(i), true
		w.writer.PutSlice(&slice)
	}
	key, _ := cluster.ServiceKey(spec.Namespace, spec.Name)
	return w.store.Service([]byte(key))
}

// record is the record of one service in a world of its own.
func record(spec *cluster.ServiceSpec, slices ...cluster.SliceSpec) *cluster.Service {
	return newWorld().service(spec, slices...)
}

// web is default/web at 10.96.0.10, with port http 80/tcp; change may make it another one.
func web(change ...func(*cluster.ServiceSpec)) *cluster.ServiceSpec {
	spec := &cluster.ServiceSpec{
		Namespace: "default", Name: "web", Type: cluster.ClusterIP, ClusterIPs: addrs("10.96.0.10"),
		Ports: ports("http:80/tcp"), Forwarding: &cluster.Forwarding{ProxyName: mine},
	}
	for _, c := range change {
		c(spec)
	}
	return spec
}

// slice is an endpoint slice; an endpoint is spelled "ADDR@NODE/ZONE" and words for what is not as usual: unready,
// unserving, terminating, for=NODE,NODE and zones=ZONE,ZONE.
func slice(portList string, endpoints ...string) cluster.SliceSpec {
	s := cluster.SliceSpec{Ports: ports(portList)}
	for _, text := range endpoints {
		words := strings.Fields(text)
		at, place, _ := strings.Cut(words[0], "@")
		e := cluster.EndpointSpec{Addr: addrs(at)[0], Place: &cluster.Place{}}
		e.Place.Node, e.Place.Zone, _ = strings.Cut(place, "/")
		for _, word := range words[1:] {
			name, value, _ := strings.Cut(word, "=")
			switch name {
			case "unready":
				e.Unready = true
			case "unserving":
				e.Unserving = true
			case "terminating":
				e.Terminating = true
			case "for":
				e.Place.ForNodes = strings.Split(value, ",")
			case "zones":
				e.Place.ForZones = strings.Split(value, ",")
			default:
				panic(word)
			}
		}
		s.Endpoints = append(s.Endpoints, e)
	}
	return s
}

// ports reads "http:80/tcp dns:53/udp"; a port may have no name.
func ports(text string) (list []cluster.Port) {
	for _, word := range strings.Fields(text) {
		name, rest, _ := strings.Cut(word, ":")
		number, protocol, _ := strings.Cut(rest, "/")
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			panic(err)
		}
		list = append(list, cluster.Port{Name: name, Number: uint16(n), Protocol: cluster.ParseProtocol(strings.ToUpper(protocol))})
	}
	return list
}

func addrs(text string) (list []cluster.Addr) {
	for _, word := range strings.Fields(text) {
		list = append(list, cluster.AddrFrom(netip.MustParseAddr(word)))
	}
	return list
}

func prefixes(text string) (list []netip.Prefix) {
	for _, word := range strings.Fields(text) {
		list = append(list, netip.MustParsePrefix(word))
	}
	return list
}

func mustKey(t testing.TB, text string) Key {
	t.Helper()
	key, err := ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// lines are what a service became, a line for each part, in the words of these tests.
func lines(s *Service) (list []string) {
	for i := range s.Frontends {
		f := &s.Frontends[i]
		text := fmt.Sprintf("%v %v: %s", f.Kind, f.Key, led(f.Inside))
		if f.Kind != ClusterIP && led(f.Inside) != led(f.Outside) {
			text += "; outside: " + led(f.Outside)
		}
		if !f.Masquerade {
			text += "; not masqueraded"
		}
		if f.Affinity > 0 {
			text += "; affinity " + f.Affinity.String()
		}
		if len(f.Sources) > 0 {
			text += fmt.Sprintf("; from %v", f.Sources)
		}
		if f.Key.Protocol == cluster.UDP {
			text += fmt.Sprintf("; serving %v", f.Serving)
		}
		list = append(list, text)
	}
	if s.Health != nil {
		list = append(list, fmt.Sprintf("health %d: %d", s.Health.Port, s.Health.Local))
	}
	for _, r := range s.Refused {
		list = append(list, "refused "+r.String())
	}
	return list
}

func led(t Target) string {
	if t.Verdict != Forward {
		return t.Verdict.String()
	}
	list := make([]string, len(t.Backends))
	for i, b := range t.Backends {
		list[i] = b.String()
	}
	return strings.Join(list, " ")
}

func affinity(d time.Duration) func(*cluster.ServiceSpec) {
	return func(s *cluster.ServiceSpec) { s.Forwarding.Affinity = d }
}
