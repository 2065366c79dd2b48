package plan

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nameplane/nameplane/cluster"
)

// cast is a cluster that changes at random. Its names and addresses are few, so that services meet.
type cast struct {
	*rand.Rand
	*world
	records map[string]*cluster.Service // as the last change of each service left it
}

func newCast(seed uint64) *cast {
	c := &cast{Rand: rand.New(rand.NewPCG(seed, 0)), world: newWorld(), records: map[string]*cluster.Service{}}
	c.writer.Watch(func(change cluster.Change) {
		if s := change.Service; s != nil {
			c.records[s.Key()] = s
		}
	})
	return c
}

func (c *cast) chance(percent int) bool { return c.IntN(100) < percent }

func pick[T any](c *cast, list ...T) T { return list[c.IntN(len(list))] }

// some are a few of the words, each at most once.
func (c *cast) some(most int, words ...string) string {
	c.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	return strings.Join(words[:c.IntN(most+1)], " ")
}

// step makes one change, and names the service.
func (c *cast) step() *cluster.Service {
	namespace, name := pick(c, "x", "y"), pick(c, "a", "b", "c", "d", "e")
	switch {
	case c.chance(10):
		c.writer.DeleteService(namespace, name)
	case c.chance(10):
		c.writer.DeleteSlice(namespace, name+pick(c, "-0", "-1"))
	case c.chance(55):
		s := c.slice()
		s.Namespace, s.Service, s.Name, s.Backends = namespace, name, name+pick(c, "-0", "-1"), true
		c.writer.PutSlice(&s)
	default:
		c.writer.PutService(c.spec(namespace, name))
	}
	key, _ := cluster.ServiceKey(namespace, name)
	return c.records[key]
}

func (c *cast) spec(namespace, name string) *cluster.ServiceSpec {
	s := &cluster.ServiceSpec{
		Namespace: namespace, Name: name, Type: pick(c, cluster.ClusterIP, cluster.ClusterIP, cluster.ClusterIP, cluster.ClusterIP, cluster.Headless),
		ClusterIPs: addrs(pick(c, c.ip4(), c.ip4(), c.ip6(), c.ip4()+" "+c.ip6())),
		Ports:      ports(c.some(3, "http:80", "dns:80/udp", "more:81", ":82", "zero:0")),
		Forwarding: &cluster.Forwarding{
			ProxyName: pick(c, mine, mine, mine, mine, ""), Balancers: addrs(c.some(2, "203.0.113.5", "10.96.0.2", "2001:db8::5", "fe80::1")),
			ExternalIPs: addrs(c.some(2, "203.0.113.5", "198.51.100.7", "192.168.0.1")), HealthPort: pick(c, uint16(0), 0, 32000, 32001),
			Affinity: pick(c, 0, 0, 3*time.Hour), InternalLocal: c.chance(20), ExternalLocal: c.chance(30),
		},
	}
	if c.chance(30) {
		s.Forwarding.SourceRanges = append([]netip.Prefix{}, prefixes(c.some(2, "10.1.0.0/16", "192.168.0.0/24", "::/0", "2001:db8::/32"))...)
	}
	for range s.Ports {
		s.Forwarding.NodePorts = append(s.Forwarding.NodePorts, pick(c, uint16(0), 30080, 30081, 30082))
	}
	return s
}

func (c *cast) ip4() string {
	return pick(c, "10.96.0.1", "10.96.0.2", "10.96.0.3", "10.96.0.4", "10.96.0.5", "127.0.0.1", "10.97.0.1")
}
func (c *cast) ip6() string { return pick(c, "fd00:96::1", "fd00:96::2", "fd00:96::3") }

func (c *cast) slice() cluster.SliceSpec {
	var list []string
	for range c.IntN(6) {
		words := []string{pick(c, "10.1.0.1", "10.1.0.2", "10.1.0.3", "fd00:1::1", "fd00:1::2") + pick(c, "", "@n1/a", "@n2/b", "@n3/b")}
		for _, word := range []string{"unready", "unserving", "terminating"} {
			if c.chance(20) {
				words = append(words, word)
			}
		}
		if c.chance(60) {
			words = append(words, "zones="+pick(c, "a", "b", "a,b"))
		}
		if c.chance(30) {
			words = append(words, "for="+pick(c, "n1", "n2"))
		}
		list = append(list, strings.Join(words, " "))
	}
	return slice(pick(c, "http:8080 dns:53/udp more:81", "http:9090 :82", "dns:80/udp http:0", ""), list...)
}

func (c *cast) policy() *Policy {
	p := testPolicy()
	p.All, p.ExternalIPs = c.chance(50), c.chance(50)
	if c.chance(50) {
		p.ServiceCIDRs = nil
	}
	return p
}

func (c *cast) node() *cluster.Node {
	n := testNode()
	n.Zone, n.Addrs = pick(c, "a", "b", ""), addrs(pick(c, "192.168.0.1", "10.96.0.1 fd00:96::1", ""))
	return pick(c, nil, n, n, n)
}

// Whatever happened, the State is what a fresh one makes of the same objects; what it said on the way adds up to that, and
// it never said a thing twice.
func TestStateIsAsFresh(t *testing.T) {
	t.Parallel()
	first := seed(t)
	for run := range uint64(40) {
		if !stateIsAsFresh(t, first+run) {
			t.Fatalf("to repeat it: NAMEPLANE_SEED=%d", first+run)
		}
	}
}

// seed is drawn unless the environment names one.
func seed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("NAMEPLANE_SEED")
	if text == "" {
		return uint64(rand.Uint32())
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("NAMEPLANE_SEED: %v", err)
	}
	return seed
}

func stateIsAsFresh(t *testing.T, seed uint64) bool {
	c := newCast(seed)
	policy, node := c.policy(), c.node()
	s, said := NewState(policy, node), map[string]*Service{}
	for step := range 40 {
		var changed []*Service
		switch {
		case c.chance(3):
			policy = c.policy()
			changed = s.SetPolicy(policy)
		case c.chance(3):
			node = c.node()
			changed = s.SetNode(node)
		default:
			if svc := c.step(); svc != nil {
				changed = s.Put(svc)
			}
		}
		for _, now := range changed {
			name := now.Namespace + "/" + now.Name
			before := said[name]
			if before == nil {
				before = &Service{Namespace: now.Namespace, Name: now.Name}
			}
			if reflect.DeepEqual(before, now) {
				t.Errorf("step %d: %s is told again: %v", step, name, lines(now))
			}
			if said[name] = now; isNothing(now) {
				delete(said, name)
			}
		}
		fresh := NewState(policy, node)
		for _, svc := range c.records { // in any order
			fresh.Put(svc)
		}
		sums := slices.SortedFunc(maps.Values(said), byName)
		for what, other := range map[string][]*Service{"a fresh one": fresh.All(), "what it said": sums} {
			if got := s.All(); !reflect.DeepEqual(got, other) {
				t.Errorf("step %d: the state is\n%s\n%s is\n%s", step, Table(got), what, Table(other))
			}
		}
		if t.Failed() {
			return false
		}
	}
	return checkSound(t, s)
}

func isNothing(s *Service) bool {
	return len(s.Frontends) == 0 && len(s.Refused) == 0 && s.Health == nil
}

// checkSound holds for every plan.
func checkSound(t *testing.T, s *State) bool {
	owner := map[Key]string{}
	for _, svc := range s.All() {
		key, _ := cluster.ServiceKey(svc.Namespace, svc.Name)
		from := s.entries[key].svc
		for i := range svc.Frontends {
			f := &svc.Frontends[i]
			where := fmt.Sprintf("%v %v", from, f.Key)
			if other := owner[f.Key]; other != "" {
				t.Errorf("%s: %s has it as well", where, other)
			}
			owner[f.Key] = from.String()
			if i > 0 && svc.Frontends[i-1].Key.Compare(f.Key) >= 0 {
				t.Errorf("%s: not sorted", where)
			}
			for _, target := range []Target{f.Inside, f.Outside} {
				if (target.Verdict == Forward) != (len(target.Backends) > 0) {
					t.Errorf("%s: %v with %d backends", where, target.Verdict, len(target.Backends))
				}
				checkBackends(t, where, from, f, target.Backends)
			}
			checkBackends(t, where, from, f, f.Serving)
			for _, client := range []string{"10.1.0.1", "fd00:1::1", "192.168.0.1", "198.51.100.9"} {
				checkExplained(t, s, f, netip.MustParseAddr(client))
			}
		}
	}
	return !t.Failed()
}

// checkBackends: sorted, no one twice, of the frontend's family, and each one the service's own, with a port that its slice
// names.
func checkBackends(t *testing.T, where string, svc *cluster.Service, f *Frontend, list []netip.AddrPort) {
	for i, at := range list {
		if i > 0 && list[i-1].Compare(at) >= 0 {
			t.Errorf("%s: %v is not sorted", where, list)
		}
		if at.Addr().Is4() != f.Key.Addr.Is4() {
			t.Errorf("%s: %v is of the other family", where, at)
		}
		found := false
		for j := range svc.Backends.Len() {
			b := svc.Backends.At(j)
			found = found || b.Addr.Netip() == at.Addr() &&
				slices.Contains(b.Ports, cluster.Port{Name: f.Port, Protocol: f.Key.Protocol, Number: at.Port()}) && (b.Ready || b.Serving && b.Terminating)
		}
		if !found {
			t.Errorf("%s: %v is no usable endpoint of the service", where, at)
		}
	}
}

// checkExplained: an explanation is for what is done.
func checkExplained(t *testing.T, s *State, f *Frontend, client netip.Addr) {
	x := s.Explain(f.Key, client)
	var got []netip.AddrPort
	sum := 0.0
	for _, e := range x.Endpoints {
		if sum += e.Share; e.Share > 0 {
			got = append(got, e.At)
			if want := 1 / float64(len(f.Target(x.From).Backends)); e.Share != want {
				t.Errorf("%v from %v: %v has a share of %v, want %v", f.Key, client, e.At, e.Share, want)
			}
		}
	}
	want := f.Target(x.From)
	if _, in := s.view.policy.LetsIn(f, client, x.From); !in {
		want = Target{Verdict: Drop}
	}
	if x.Verdict != want.Verdict || !slices.Equal(got, want.Backends) {
		t.Errorf("%v from %v: explained as %v to %v, but it is %v to %v", f.Key, client, x.Verdict, got, want.Verdict, want.Backends)
	}
	if (x.Verdict == Forward) != (math.Abs(sum-1) < 1e-9) || (x.Verdict == Forward) != (x.Why == "") || x.String() == "" {
		t.Errorf("%v from %v: %+v", f.Key, client, x)
	}
}
