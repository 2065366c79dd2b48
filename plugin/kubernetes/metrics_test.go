package kubernetes

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/test/block"
)

// metric is what the series with these label values, in the order of their names, has: "count sum" of a histogram, or a
// counter's value; empty when there is none.
func metric(t *testing.T, b *bed, name string, labels ...string) string {
	t.Helper()
	families, err := b.env.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			if f.GetName() != name || strings.Join(values, " ") != strings.Join(labels, " ") {
				continue
			}
			if h := m.GetHistogram(); h != nil {
				return fmt.Sprintf("%d %g", h.GetSampleCount(), h.GetSampleSum())
			}
			return fmt.Sprint(m.GetCounter().GetValue())
		}
	}
	return ""
}

func TestProgrammingDuration(t *testing.T) {
	const name = "coredns_kubernetes_dns_programming_duration_seconds"
	b := newBed(t, "kubernetes cluster.local", func(s *script) {
		s.headless("db.shop")
		s.clusterIP("web.shop", "10.96.0.1", "http/tcp/80")
	})
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	changed := func(ago time.Duration) time.Time { return b.env.Now().Add(-ago) }
	for _, step := range []struct {
		why               string
		trigger           time.Time
		slice             string
		address           string
		headless, virtual string
	}{
		{why: "a headless service's endpoints", trigger: changed(2 * time.Second), slice: "db-1.db.shop", address: "10.244.0.1", headless: "1 2"},
		{why: "a virtual IP's", trigger: changed(time.Second), slice: "web-1.web.shop", address: "10.244.0.2", headless: "1 2", virtual: "1 1"},
		{why: "nothing changed", trigger: changed(time.Hour), slice: "web-1.web.shop", address: "10.244.0.2", headless: "1 2", virtual: "1 1"},
		{why: "no time told", slice: "web-1.web.shop", address: "10.244.0.3", headless: "1 2", virtual: "1 1"},
		{why: "no such service", trigger: changed(time.Second), slice: "x-1.x.shop", address: "10.244.0.4", headless: "1 2", virtual: "1 1"},
		{why: "another change", trigger: changed(500 * time.Millisecond), slice: "db-1.db.shop", address: "10.244.0.5", headless: "2 2.5", virtual: "1 1"},
	} {
		s := &script{t: t, w: b.w, trigger: step.trigger}
		s.slice(step.slice, "http/tcp/80", step.address)
		if got := metric(t, b, name, "headless_with_selector"); got != step.headless {
			t.Errorf("%s: headless is %q, want %q", step.why, got, step.headless)
		}
		if got := metric(t, b, name, "cluster_ip"); got != step.virtual {
			t.Errorf("%s: cluster_ip is %q, want %q", step.why, got, step.virtual)
		}
	}
	spec := cluster.SliceSpec{Namespace: "shop", Name: "db-2", Service: "db", Backends: true, Trigger: changed(time.Second)}
	spec.Endpoints = []cluster.EndpointSpec{{Addr: (&script{t: t}).addr("10.244.0.6"), Unready: true}}
	b.w.PutSlice(&spec)
	if got := metric(t, b, name, "headless_with_selector"); got != "2 2.5" {
		t.Errorf("an endpoint that is not ready: headless is %q, want %q", got, "2 2.5")
	}
}

func TestTelemetry(t *testing.T) {
	t.Parallel()
	b := newUnsynced(t, plainCorefile)
	told := b.metrics.telemetry()
	told.Request("GET", "10.96.0.1:443", "200", time.Second)
	told.Request("GET", "10.96.0.1:443", "200", 3*time.Second)
	told.Request("GET", "bad\xff:443", "<error>", time.Second)
	told.Limited("GET", "10.96.0.1:443", 2*time.Second)
	const prefix = "coredns_kubernetes_rest_client_"
	for _, test := range []struct {
		name   string
		labels []string
		want   string
	}{
		{name: "requests_total", labels: []string{"200", "10.96.0.1:443", "GET"}, want: "2"},
		{name: "requests_total", labels: []string{"<error>", "bad\uFFFD:443", "GET"}, want: "1"},
		{name: "request_duration_seconds", labels: []string{"10.96.0.1:443", "GET"}, want: "2 4"},
		{name: "rate_limiter_duration_seconds", labels: []string{"10.96.0.1:443", "GET"}, want: "1 2"},
	} {
		if got := metric(t, b, prefix+test.name, test.labels...); got != test.want {
			t.Errorf("%s%v is %q, want %q", test.name, test.labels, got, test.want)
		}
	}
}

// TestMetricsGoOnOverReload: a second instance counts in the series of the first.
func TestMetricsGoOnOverReload(t *testing.T) {
	t.Parallel()
	b := newUnsynced(t, plainCorefile)
	h, err := Spec(newPool(b.env)).Build(b.env, block.Lines(t, ". {\n kubernetes cluster.local\n}", "kubernetes"))
	if err != nil {
		t.Fatal(err)
	}
	again := h.(*Kubernetes)
	defer func() { _ = again.Close() }()
	for _, k := range []*Kubernetes{b.Kubernetes, again} {
		k.metrics.telemetry().Limited("GET", "a", time.Second)
	}
	if got := metric(t, b, "coredns_kubernetes_rest_client_rate_limiter_duration_seconds", "a", "GET"); got != "2 2" {
		t.Errorf("histogram is %q, want both observations", got)
	}
}
