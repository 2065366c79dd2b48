package kubernetes

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

// lastChange is when everything in the tests' stores was put there: the serial of their zones.
const lastChange = 1_600_000_000

// idle is a Source that leaves the Store to the test.
type idle struct{}

func (idle) Run(ctx context.Context, _ *cluster.Writer) error { <-ctx.Done(); return nil }
func (idle) String() string                                   { return "test" }

// newPool is a Pool of stores that nobody but the test fills.
func newPool(env *plugin.Env) *cluster.Pool {
	return cluster.NewPool(func(cluster.Origin, cluster.Needs, cluster.Telemetry) (cluster.Source, error) {
		return idle{}, nil
	}, env.Log)
}

// bed is a directive over a store that the test fills.
type bed struct {
	*Kubernetes
	w   *cluster.Writer
	env *plugin.Env
	log *block.Buffer
}

// newUnsynced builds the directive from Corefile text, over a store that waits for its first lists.
func newUnsynced(t testing.TB, text string) *bed {
	t.Helper()
	b := &bed{log: new(block.Buffer)}
	b.env = block.NewEnv(b.log)
	b.env.Now = func() time.Time { return time.Unix(lastChange, 0) }
	h, err := Spec(newPool(b.env)).Build(b.env, block.Lines(t, ".:53 {\n"+text+"\n}\n", "kubernetes"))
	if err != nil {
		t.Fatal(err)
	}
	b.Kubernetes = h.(*Kubernetes)
	t.Cleanup(func() { _ = b.Close() })
	b.w = b.lease.Writer
	b.w.SetClock(b.env.Now)
	b.w.Expect("test", cluster.KindService, cluster.KindNamespace)
	return b
}

// newBed is newUnsynced with a store that is filled and synced.
func newBed(t testing.TB, text string, fill func(s *script)) *bed {
	t.Helper()
	b := newUnsynced(t, text)
	fill(&script{t: t, w: b.w})
	b.w.EndList(cluster.KindService)
	b.w.EndList(cluster.KindNamespace)
	return b
}

// script puts objects into a store, as a test's text has them.
type script struct {
	t       testing.TB
	w       *cluster.Writer
	trigger time.Time // of the slices that follow
}

func (s *script) namespaces(names ...string) {
	for _, name := range names {
		s.w.PutNamespace(name)
	}
}

// clusterIP puts a service: name is "service.namespace", ips are separated by spaces, ports are "name/protocol/number".
func (s *script) clusterIP(name, ips string, ports ...string) {
	s.service(name, cluster.ServiceSpec{Type: cluster.ClusterIP, ClusterIPs: s.addrs(ips), Ports: s.ports(ports)})
}

func (s *script) headless(name string) {
	s.service(name, cluster.ServiceSpec{Type: cluster.Headless})
}

func (s *script) external(name, target string) {
	s.service(name, cluster.ServiceSpec{Type: cluster.ExternalName, ExternalName: target})
}

func (s *script) service(name string, spec cluster.ServiceSpec) {
	spec.Name, spec.Namespace, _ = strings.Cut(name, ".")
	if !s.w.PutService(&spec) {
		s.t.Fatalf("service %s was not taken", name)
	}
}

// slice puts an endpoint slice: name is "slice.service.namespace", ports are separated by spaces, and an endpoint is an
// address, "address=hostname" or "address~pod", and "@zone" behind it.
func (s *script) slice(name, ports string, endpoints ...string) {
	spec := cluster.SliceSpec{Ports: s.ports(strings.Fields(ports)), Trigger: s.trigger}
	spec.Name, name, _ = strings.Cut(name, ".")
	spec.Service, spec.Namespace, _ = strings.Cut(name, ".")
	for _, text := range endpoints {
		var e cluster.EndpointSpec
		text, e.Zone, _ = strings.Cut(text, "@")
		addr, host, _ := strings.Cut(text, "=")
		addr, pod, isPod := strings.Cut(addr, "~")
		e.Addr, e.Name, e.PodName = s.addr(addr), host+pod, isPod
		spec.Endpoints = append(spec.Endpoints, e)
	}
	if !s.w.PutSlice(&spec) {
		s.t.Fatalf("slice %s was not taken", spec.Name)
	}
}

// pod puts a pod: name is "pod.namespace".
func (s *script) pod(name, ips string) {
	spec := cluster.PodSpec{Addrs: s.addrs(ips)}
	spec.Name, spec.Namespace, _ = strings.Cut(name, ".")
	s.w.PutPod(&spec)
}

func (s *script) addr(text string) cluster.Addr {
	a, err := cluster.ParseAddr(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (s *script) addrs(text string) (all []cluster.Addr) {
	for _, one := range strings.Fields(text) {
		all = append(all, s.addr(one))
	}
	return all
}

func (s *script) ports(texts []string) (all []cluster.Port) {
	for _, text := range texts {
		name, rest, _ := strings.Cut(text, "/")
		p := cluster.Port{Name: name}
		protocol, number, _ := strings.Cut(rest, "/")
		p.Protocol = cluster.ParseProtocol(strings.ToUpper(protocol))
		if _, err := fmt.Sscan(number, &p.Number); err != nil {
			s.t.Fatalf("port %q: %v", text, err)
		}
		all = append(all, p)
	}
	return all
}

// row is a question and what comes back.
type row struct {
	why  string   // the rule that the row is about
	ask  string   // "name type"
	want []string // see bed.ask
}

// check asks every row's question.
func (b *bed) check(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		t.Run(strings.ReplaceAll(r.why, " ", "_"), func(t *testing.T) {
			if diff := cmp.Diff(r.want, b.ask(t, nil, r.ask)); diff != "" {
				t.Errorf("%s: %s (-want +got):\n%s", r.ask, r.why, diff)
			}
		})
	}
}

// ask is the reply to a question as text: the rcode unless it is NOERROR, flags that are not as they should be, and a
// line for each record, sorted by section, where "@" is the question's name, spelling included, and "+" stands before
// additional records. A negative reply (RFC 2308) whose SOA is the zone's with "ttl 5" is the one word NODATA, NXDOMAIN or
// SERVFAIL. NEXT is what the next handler answers.
func (b *bed) ask(t testing.TB, host plugin.Host, question string) []string {
	t.Helper()
	name, qtype, _ := strings.Cut(question, " ")
	x := block.NewExchange(t, name, dns.StringToType[qtype])
	x.Begin(host, []plugin.Handler{block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error {
		x.Reply.Start(&x.Query, dns.RcodeNotZone)
		return nil
	})})
	if err := b.Serve(t.Context(), x); err != nil {
		return []string{"error: " + err.Error()}
	}
	x.Transport = plugin.TCP // for an answer of any size
	m := block.Answer(t, x)
	if m.Rcode == dns.RcodeNotZone {
		return []string{"NEXT"}
	}
	return render(m)
}

func render(m *dns.Msg) (lines []string) {
	name := m.Question[0].Name
	verdict := dns.RcodeToString[m.Rcode]
	if m.Rcode == dns.RcodeSuccess && len(m.Answer) == 0 {
		verdict = "NODATA"
	} else if m.Rcode == dns.RcodeSuccess {
		verdict = ""
	}
	for _, flag := range []struct {
		name string
		odd  bool
	}{
		{"no AA", !m.Authoritative}, {"TC", m.Truncated}, {"RA", m.RecursionAvailable}, {"no RD", !m.RecursionDesired},
	} {
		if flag.odd {
			verdict += " " + flag.name
		}
	}
	if verdict != "" {
		lines = append(lines, strings.TrimSpace(verdict))
	}
	lines = append(lines, section("", name, m.Answer)...)
	if !isUsualSOA(name, m.Ns) {
		lines = append(lines, section("- ", name, m.Ns)...)
		if len(m.Answer)+len(m.Ns) == 0 && m.Rcode != dns.RcodeRefused {
			lines = append(lines, "without SOA")
		}
	}
	return append(lines, section("+ ", name, m.Extra)...)
}

func section(mark, question string, records []dns.RR) []string {
	var lines []string
	chain := false
	for _, rr := range records {
		h := rr.Header()
		chain = chain || h.Rrtype == dns.TypeCNAME
		owner := h.Name
		if owner == question {
			owner = "@"
		}
		data := strings.TrimPrefix(rr.String(), h.String())
		lines = append(lines, fmt.Sprintf("%s%s %d %s %s", mark, owner, h.Ttl, dns.TypeToString[h.Rrtype], data))
	}
	if !chain {
		slices.Sort(lines)
	}
	return lines
}

// isUsualSOA tells whether an authority section is the zone's SOA with "ttl 5", in the question's spelling.
func isUsualSOA(question string, records []dns.RR) bool {
	if len(records) != 1 || !strings.HasSuffix(question, records[0].Header().Name) {
		return false
	}
	zone := records[0].Header().Name
	want := fmt.Sprintf("%s 5 IN SOA ns.dns.%[1]s hostmaster.%[1]s %d 7200 1800 86400 5", zone, lastChange)
	return strings.ReplaceAll(records[0].String(), "\t", " ") == want
}
