package k8sexternal

import (
	"context"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/plugin/kubernetes"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

// lastChange is when everything in the tests' stores was put there: the serial of their zones.
const lastChange = 1_600_000_000

// idle is a Source that leaves the Store to the test.
type idle struct{}

func (idle) Run(ctx context.Context, _ *cluster.Writer) error { <-ctx.Done(); return nil }
func (idle) String() string                                   { return "test" }

// bed is the directive beside the kubernetes directive, over a store that the test fills.
type bed struct {
	*Handler
	kubernetes *kubernetes.Kubernetes
	w          *cluster.Writer
	local      []netip.Addr
	hosts      map[string][]string // what the server answers to our questions, by "NAME TYPE"
	failing    error               // or why it does not
}

// bed is the backend itself, to tell addresses of a host that is not the test's.
func (b *bed) Store() *cluster.Store                             { return b.kubernetes.Store() }
func (b *bed) Exposed(namespace []byte) bool                     { return b.kubernetes.Exposed(namespace) }
func (b *bed) Shows(svc *cluster.Service) bool                   { return b.kubernetes.Shows(svc) }
func (b *bed) Endpoints(svc *cluster.Service) *cluster.Endpoints { return b.kubernetes.Endpoints(svc) }
func (b *bed) PodNames() bool                                    { return b.kubernetes.PodNames() }
func (b *bed) Local() []netip.Addr                               { return b.local }

// newUnsynced builds both directives from Corefile text, over a store that waits for its first lists.
func newUnsynced(t testing.TB, corefile string) *bed {
	t.Helper()
	b := &bed{local: []netip.Addr{netip.MustParseAddr("192.168.0.10"), netip.MustParseAddr("fd00::10")}}
	env := block.NewEnv(io.Discard)
	env.Now = func() time.Time { return time.Unix(lastChange, 0) }
	h, err := Spec().Build(env, block.Lines(t, ". {\n"+corefile+"\n}", "k8s_external"))
	if err != nil {
		t.Fatal(err)
	}
	b.Handler = h.(*Handler)
	pool := cluster.NewPool(func(cluster.Origin, cluster.Needs, cluster.Telemetry) (cluster.Source, error) {
		return idle{}, nil
	}, env.Log)
	lines := block.Lines(t, ". {\n"+corefile+"\n}", "kubernetes")
	if len(lines) == 0 {
		lines = block.Lines(t, ". {\n kubernetes cluster.local\n}", "kubernetes")
	}
	if h, err = kubernetes.Spec(pool).Build(env, lines); err != nil {
		t.Fatal(err)
	}
	b.kubernetes = h.(*kubernetes.Kubernetes)
	t.Cleanup(func() { _ = b.kubernetes.Close() })
	env.Instance = block.Instance{{Server: "dns://:53", Zone: ".", Handlers: []plugin.Handler{b.Handler, b}}}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	lease, err := pool.Lease(cluster.Origin{}, cluster.Needs{}, cluster.Telemetry{}) // of the same store
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lease.Release)
	b.w = lease.Writer
	b.w.SetClock(env.Now)
	b.w.Expect("test", cluster.KindService, cluster.KindNamespace)
	return b
}

// newBed is newUnsynced with the cluster of these tests, synced.
func newBed(t testing.TB, corefile string) *bed {
	t.Helper()
	b := newUnsynced(t, corefile)
	for _, namespace := range []string{"shop", "hidden", "empty"} {
		b.w.PutNamespace(namespace)
	}
	b.service(t, "web.shop", cluster.ClusterIP, "http/tcp/80 https/tcp/443", "192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.1")
	b.service(t, "dns.shop", cluster.ClusterIP, "dns/udp/53 dns-tcp/tcp/53", "192.0.2.3")
	b.service(t, "bare.shop", cluster.ClusterIP, "", "192.0.2.4")
	b.service(t, "inside.shop", cluster.ClusterIP, "http/tcp/80")
	b.service(t, "cloud.shop", cluster.ClusterIP, "http/tcp/80 https/tcp/443", "lb.Example.net")
	b.service(t, "mixed.shop", cluster.ClusterIP, "http/tcp/80", "192.0.2.5", "lb.example.net")
	b.service(t, "db.shop", cluster.Headless, "pg/tcp/5432")
	b.service(t, "shown.shop", cluster.Headless, "pg/tcp/5432", "192.0.2.6")
	b.service(t, "secret.hidden", cluster.ClusterIP, "http/tcp/80", "192.0.2.7")
	b.slice(t, "db.shop", "pg/tcp/5432 metrics/tcp/9187", "10.244.0.1=db-0", "10.244.0.2", "fd00::2=db-0")
	b.slice(t, "inside.shop", "http/tcp/8080", "10.244.0.3")
	b.w.EndList(cluster.KindService)
	b.w.EndList(cluster.KindNamespace)
	return b
}

// service puts a service: name is "service.namespace", ports are "name/protocol/number" with spaces between.
func (b *bed) service(t testing.TB, name string, kind cluster.ServiceType, ports string, external ...string) {
	t.Helper()
	spec := &cluster.ServiceSpec{Type: kind, Ports: parsePorts(t, ports)}
	spec.Name, spec.Namespace, _ = strings.Cut(name, ".")
	for _, text := range external {
		spec.External = append(spec.External, cluster.ParseExternal(text))
	}
	if !b.w.PutService(spec) {
		t.Fatalf("service %s was not taken", name)
	}
}

// slice puts a service's endpoint slice: endpoints are addresses, or "address=hostname".
func (b *bed) slice(t testing.TB, service, ports string, endpoints ...string) {
	t.Helper()
	spec := &cluster.SliceSpec{Name: service + "-1", Ports: parsePorts(t, ports)}
	spec.Service, spec.Namespace, _ = strings.Cut(service, ".")
	for _, text := range endpoints {
		addr, host, _ := strings.Cut(text, "=")
		spec.Endpoints = append(spec.Endpoints, cluster.EndpointSpec{Addr: cluster.AddrFrom(netip.MustParseAddr(addr)), Name: host})
	}
	if !b.w.PutSlice(spec) {
		t.Fatalf("slice of %s was not taken", service)
	}
}

func parsePorts(t testing.TB, text string) (ports []cluster.Port) {
	t.Helper()
	for _, one := range strings.Fields(text) {
		part := strings.Split(one, "/")
		number, err := netip.ParseAddrPort("0.0.0.0:" + part[2])
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, cluster.Port{Name: part[0], Protocol: cluster.ParseProtocol(strings.ToUpper(part[1])), Number: number.Port()})
	}
	return ports
}

// Yield implements plugin.Host.
func (*bed) Yield(*plugin.Exchange) error { return nil }

// Resolve implements plugin.Host.
func (b *bed) Resolve(_ context.Context, _ *plugin.Exchange, name wire.Name, qtype uint16) (*dns.Msg, error) {
	if b.failing != nil {
		return nil, b.failing
	}
	m := new(dns.Msg)
	for _, text := range b.hosts[name.String()+" "+dns.Type(qtype).String()] {
		rr, err := dns.NewRR(text)
		if err != nil {
			return nil, err
		}
		m.Answer = append(m.Answer, rr)
	}
	return m, nil
}

// ask puts a question to the directive, before an end of the chain that answers NXDOMAIN without AA.
func (b *bed) ask(t testing.TB, question string, qtype uint16) (*dns.Msg, error) {
	t.Helper()
	x := block.NewExchange(t, question, qtype)
	x.Transport = plugin.TCP
	x.Begin(b, []plugin.Handler{b.Handler, block.Reply(dns.RcodeNameError)})
	if err := x.Next(t.Context()); err != nil {
		return nil, err
	}
	return block.Answer(t, x), nil
}

// lines are a section's records, one space between fields, sorted.
func lines(section []dns.RR) (all []string) {
	for _, rr := range section {
		all = append(all, strings.Join(strings.Fields(rr.String()), " "))
	}
	slices.Sort(all)
	return all
}
