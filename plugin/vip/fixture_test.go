package vip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/plugin/vip/plan"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/test/block"
)

// world is a process without a server: a forwarder, a pool of stores that the test fills, and planes that only take notes.
type world struct {
	t         *testing.T
	forwarder *forwarder
	pool      *cluster.Pool
	log       *block.Buffer
	env       *plugin.Env
	web       *block.Web
	planes    []*fakePlane
	cannot    error // why no plane can be opened
	rival     bool  // a kube-proxy is there
	stops     error // why a plane's Run ends the first time
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, log: new(block.Buffer), web: &block.Web{}}
	w.env = block.NewEnv(w.log)
	w.pool = cluster.NewPool(func(o cluster.Origin, _ cluster.Needs, _ cluster.Telemetry) (cluster.Source, error) {
		return idle{o}, nil
	}, w.env.Log)
	w.forwarder = &forwarder{run: func(_ context.Context, name string, _ ...string) (string, error) {
		if w.rival && name == "nft" {
			return "table ip kube-proxy\n", nil
		}
		return "", errors.New("not found")
	}, open: func(o *options, _ *plugin.Env) (Plane, error) {
		if w.cannot != nil {
			return nil, w.cannot
		}
		p := &fakePlane{mode: o.mode, has: map[string]*plan.Service{}, runErr: w.stops}
		w.planes = append(w.planes, p)
		return p, nil
	}}
	return w
}

// idle is a Source that leaves the Store to the test.
type idle struct{ origin cluster.Origin }

func (idle) Run(ctx context.Context, _ *cluster.Writer) error { <-ctx.Done(); return nil }
func (i idle) String() string {
	if i.origin.Endpoint != "" {
		return i.origin.Endpoint
	}
	return "test"
}

// build builds the directive of a Corefile.
func (w *world) build(text string) (*VIP, error) {
	w.t.Helper()
	file := parse(w.t, text)
	return w.buildLines(file, file.Lines("vip"))
}

func (w *world) buildLines(file *corefile.File, lines []*corefile.Directive) (*VIP, error) {
	env := *w.env
	env.File, env.Dir, env.Web = file, "/etc/nameplane", w.web
	h, err := build(&env, lines, w.pool, w.forwarder)
	if err != nil {
		return nil, err
	}
	return h.(*VIP), nil
}

func parse(t testing.TB, text string) *corefile.File {
	t.Helper()
	file, err := corefile.Parse("Corefile", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// instance is the directive as the server runs it.
type instance struct {
	*VIP
	cancel context.CancelFunc
	done   chan error
	ended  bool
}

// begin builds, starts and runs it.
func (w *world) begin(text string) *instance {
	w.t.Helper()
	v, err := w.build(text)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := v.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return w.run(v)
}

// run runs what was started.
func (w *world) run(v *VIP) *instance {
	ctx, cancel := context.WithCancel(w.t.Context())
	i := &instance{VIP: v, cancel: cancel, done: make(chan error, 1)}
	go func() { i.done <- v.Run(ctx) }()
	w.t.Cleanup(func() { i.end(w.t) })
	return i
}

// end stops and closes it, in the server's order.
func (i *instance) end(t *testing.T) {
	t.Helper()
	if i.ended {
		return
	}
	i.ended = true
	i.cancel()
	if err := <-i.done; err != nil {
		t.Error(err)
	}
	if err := i.Close(); err != nil {
		t.Error(err)
	}
}

// sync says that everything was listed.
func (i *instance) sync() { i.lease.Writer.Expect("test") }

// web puts the service default/NAME of ours at 10.96.0.N:80, with these backends.
func (i *instance) web(name string, n byte, backends ...string) {
	i.webAt(name, netip.AddrFrom4([4]byte{10, 96, 0, n}), backends...)
}

func (i *instance) webAt(name string, vip netip.Addr, backends ...string) {
	i.lease.Writer.PutService(&cluster.ServiceSpec{
		Namespace: "default", Name: name, Type: cluster.ClusterIP,
		ClusterIPs: []cluster.Addr{cluster.AddrFrom(vip)},
		Ports:      []cluster.Port{{Name: "http", Number: 80}},
		Forwarding: &cluster.Forwarding{ProxyName: "nameplane"},
	})
	i.slice(name, time.Time{}, backends...)
}

// slice puts the one slice of a service, as it became by a change at a time.
func (i *instance) slice(service string, trigger time.Time, backends ...string) {
	slice := &cluster.SliceSpec{
		Namespace: "default", Name: service + "-0", Service: service, Trigger: trigger, Backends: true,
		Ports: []cluster.Port{{Name: "http", Number: 8080}},
	}
	for _, b := range backends {
		slice.Endpoints = append(slice.Endpoints, cluster.EndpointSpec{Addr: cluster.AddrFrom(netip.MustParseAddr(b)), Place: &cluster.Place{}})
	}
	i.lease.Writer.PutSlice(slice)
}

// fakePlane takes notes.
type fakePlane struct {
	mode string

	mu     sync.Mutex
	calls  []string // "adopt 3", "apply 1", "close"
	runs   int
	has    map[string]*plan.Service
	policy *plan.Policy
	adoptErr, applyErr, checkErr,
	runErr error
}

func (p *fakePlane) note(format string, args ...any) {
	p.calls = append(p.calls, fmt.Sprintf(format, args...))
}

func (p *fakePlane) Adopt(_ context.Context, policy *plan.Policy, all []*plan.Service) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note("adopt %d", len(all))
	if p.adoptErr != nil {
		return p.adoptErr
	}
	p.policy, p.has = policy, map[string]*plan.Service{}
	p.take(all)
	return nil
}

func (p *fakePlane) Apply(_ context.Context, changed []*plan.Service) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note("apply %d", len(changed))
	if p.applyErr != nil {
		return p.applyErr
	}
	p.take(changed)
	return nil
}

func (p *fakePlane) take(services []*plan.Service) {
	for _, s := range services {
		p.has[s.Name] = s
		if len(s.Frontends) == 0 {
			delete(p.has, s.Name)
		}
	}
}

func (p *fakePlane) Check(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.checkErr
	p.checkErr = nil
	return err
}

func (p *fakePlane) Run(ctx context.Context) error {
	p.mu.Lock()
	p.runs++
	err := p.runErr
	p.runErr = nil
	p.mu.Unlock()
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func (p *fakePlane) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note("close")
	return nil
}

// taken are the calls since the last time.
func (p *fakePlane) taken() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := p.calls
	p.calls = nil
	return strings.Join(calls, ", ")
}

// backends are those of a service, "10.0.0.1:8080 10.0.0.2:8080".
func (p *fakePlane) backends(name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.has[name]
	if s == nil {
		return "none"
	}
	var list []string
	for _, b := range s.Frontends[0].Inside.Backends {
		list = append(list, b.String())
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func (p *fakePlane) set(field *error, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*field = err
}

var errKernel = errors.New("the kernel said no")

// bubble runs a test with a clock of its own, in which nothing takes time.
func bubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(t)) })
}

func wants(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}
