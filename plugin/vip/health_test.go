package vip

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin/vip/plan"
)

const healthyCorefile = ". {\n vip {\n  mode relay\n  node n1\n  healthz :10256\n }\n}\n"

// page is what a path answers.
func page(t *testing.T, w *world, path string) (code int, body map[string]any) {
	t.Helper()
	r := httptest.NewRecorder()
	w.web.Page(":10256"+path).ServeHTTP(r, httptest.NewRequest(http.MethodGet, path, nil))
	if err := json.Unmarshal(r.Body.Bytes(), &body); err != nil {
		t.Fatalf("%s: %q: %v", path, r.Body, err)
	}
	return r.Code, body
}

// kube-proxy's semantics: a change that waits for too long makes both pages bad, a node that leaves only /healthz.
func TestPages(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v := w.begin(healthyCorefile)
		codes := func(when string, healthz, livez int) {
			t.Helper()
			gotHealthz, body := page(t, w, "/healthz")
			gotLivez, _ := page(t, w, "/livez")
			if gotHealthz != healthz || gotLivez != livez {
				t.Errorf("%s: /healthz %d, /livez %d, want %d, %d", when, gotHealthz, gotLivez, healthz, livez)
			}
			if _, ok := body["nodeEligible"].(bool); !ok || body["lastUpdated"] == nil || body["currentTime"] == nil {
				t.Errorf("%s: /healthz says %v", when, body)
			}
		}
		v.lease.Writer.Expect("test", cluster.KindService)
		codes("before the list", 200, 200)
		wait(overdue)
		codes("a minute later", 200, 200)
		v.sync()
		wait(time.Second)
		codes("listed", 200, 200)
		w.planes[0].set(&w.planes[0].applyErr, errKernel)
		w.planes[0].set(&w.planes[0].adoptErr, errKernel)
		v.web("a", 1, "10.1.0.1")
		wait(overdue - 1)
		codes("a change waits", 200, 200)
		wait(1)
		codes("for a minute", 503, 503)
		w.planes[0].set(&w.planes[0].adoptErr, nil)
		wait(maxBackoff)
		codes("it is forwarded", 200, 200)
		wait(10 * time.Minute)
		codes("with nothing to do", 200, 200)
		v.lease.Writer.PutNode(&cluster.Node{Name: "n1", Leaving: true})
		wait(time.Second)
		codes("the node leaves", 503, 200)
		v.lease.Writer.PutNode(&cluster.Node{Name: "n1"})
		wait(time.Second)
		codes("the node stays", 200, 200)
		if got := value(t, w, "kubeproxy_proxy_healthz_total"); got != 9 {
			t.Errorf("%v answers of /healthz are counted, want 9", got)
		}
	})
}

// get asks a load balancer's question.
func get(t *testing.T, at netip.AddrPort) (code int, weight, body string) {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	reply, err := client.Get("http://" + at.String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply.StatusCode, reply.Header.Get("X-Load-Balancing-Endpoint-Weight"), string(text)
}

// freePort is a port of TCP that nobody has at the moment.
func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String()).Port()
}

func TestBalancers(t *testing.T) {
	t.Parallel()
	healthy := true
	b := newBalancers(func() bool { return healthy })
	defer b.close()
	loopback := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	port := freePort(t)
	at := netip.AddrPortFrom(loopback[0], port)
	for _, test := range []struct {
		name    string
		local   int
		healthy bool
		code    int
		weight  string
		body    string
	}{
		{name: "two endpoints", local: 2, healthy: true, code: 200, weight: "2", body: `{"service":{"namespace":"prod","name":"web"},"localEndpoints":2,"serviceProxyHealthy":true}`},
		{name: "none", healthy: true, code: 503, weight: "0", body: `{"service":{"namespace":"prod","name":"web"},"localEndpoints":0,"serviceProxyHealthy":true}`},
		{name: "unhealthy", local: 1, code: 503, weight: "1", body: `{"service":{"namespace":"prod","name":"web"},"localEndpoints":1,"serviceProxyHealthy":false}`},
	} {
		healthy = test.healthy
		s := &plan.Service{Namespace: "prod", Name: "web", Health: &plan.HealthCheck{Port: port, Local: test.local}}
		if err := b.answer(loopback, map[uint16]*plan.Service{port: s}); err != nil {
			t.Fatal(err)
		}
		if code, weight, body := get(t, at); code != test.code || weight != test.weight || body != test.body {
			t.Errorf("%s: %d, weight %s, %s", test.name, code, weight, body)
		}
	}
	if err := b.answer(loopback, nil); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", at.String()); err == nil {
		conn.Close()
		t.Error("somebody listens though nobody is asked about")
	}
}

// A port that somebody else has is told once, and costs no other service.
func TestBalancersTaken(t *testing.T) {
	t.Parallel()
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	b := newBalancers(func() bool { return true })
	defer b.close()
	taken, free := netip.MustParseAddrPort(other.Addr().String()).Port(), freePort(t)
	loopback := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	asked := map[uint16]*plan.Service{}
	for _, port := range []uint16{taken, free} {
		asked[port] = &plan.Service{Namespace: "prod", Name: "web", Health: &plan.HealthCheck{Port: port, Local: 1}}
	}
	if err := b.answer(loopback, asked); err == nil {
		t.Error("no error")
	}
	if err := b.answer(loopback, asked); err != nil {
		t.Errorf("told again: %v", err)
	}
	if code, _, _ := get(t, netip.AddrPortFrom(loopback[0], free)); code != 200 {
		t.Errorf("the other service is answered by %d", code)
	}
	other.Close()
	if err := b.answer(loopback, asked); err != nil {
		t.Error(err)
	}
	if code, _, _ := get(t, netip.AddrPortFrom(loopback[0], taken)); code != 200 {
		t.Errorf("once the port is free it is answered by %d", code)
	}
}
