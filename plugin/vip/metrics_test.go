package vip

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/test/block"
)

// value is that of a metric without labels, or the sum over them; of a histogram it is the count.
func value(t *testing.T, w *world, name string) (sum float64) {
	t.Helper()
	families, err := w.env.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
		return sum
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

func TestMetrics(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		v, p := begun(t, w)
		before := time.Now()
		is := func(name string, want float64) {
			t.Helper()
			if got := value(t, w, name); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		is("kubeproxy_sync_full_proxy_rules_duration_seconds", 1)
		is("nameplane_vip_frontends", 1)
		is("nameplane_vip_backends", 1)
		is("nameplane_vip_current", 1)

		p.set(&p.applyErr, errKernel)
		p.set(&p.adoptErr, errKernel)
		v.slice("a", before.Add(-time.Second/2), "10.1.0.2", "10.1.0.3")
		v.slice("a", before.Add(-3*time.Hour), "10.1.0.3", "10.1.0.4")
		wait(500 * time.Millisecond)
		is("kubeproxy_sync_proxy_rules_endpoint_changes_pending", 2)
		is("kubeproxy_sync_proxy_rules_nftables_sync_failures_total", 1)
		is("nameplane_vip_current", 0)
		is("nameplane_vip_pending_seconds", 0.5)
		is("nameplane_vip_backends", 1)

		p.set(&p.applyErr, nil)
		p.set(&p.adoptErr, nil)
		wait(time.Minute)
		is("kubeproxy_sync_proxy_rules_endpoint_changes_pending", 0)
		is("kubeproxy_sync_proxy_rules_endpoint_changes_total", 2)
		is("kubeproxy_network_programming_duration_seconds", 1) // the other was before the process
		is("nameplane_vip_pending_seconds", 0)
		is("nameplane_vip_backends", 2)
		is("kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds", float64(before.UnixMilli())/1000)

		v.lease.Writer.DeleteService("default", "a")
		wait(time.Minute)
		is("kubeproxy_sync_proxy_rules_service_changes_total", 1)
		is("nameplane_vip_frontends", 0)
	})
}

// Counters go on over a reload, and gauges show the one forwarder.
func TestMetricsReload(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		old, _ := begun(t, w)
		next := w.begin(plainCorefile)
		old.end(t)
		next.web("a", 1, "10.1.0.2", "10.1.0.3")
		wait(time.Second)
		if got := value(t, w, "nameplane_vip_backends"); got != 2 {
			t.Errorf("%v backends, want 2", got)
		}
		if got := value(t, w, "kubeproxy_sync_proxy_rules_duration_seconds"); got != 2 {
			t.Errorf("%v passes, want 2", got)
		}
	})
}

// TestReadme: every example builds.
func TestReadme(t *testing.T) {
	t.Parallel()
	for _, example := range block.Examples(t) {
		v, err := newWorld(t).build(example)
		if err != nil {
			t.Errorf("%v in the example\n%s", err, example)
			continue
		}
		v.Close()
	}
}

// TestReadmeNamesEverything: an option or a metric without a word about it is one that nobody finds.
func TestReadmeNamesEverything(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	m, err := newMetrics(w.env.Metrics, w.forwarder, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	m.healthz.WithLabelValues("200")
	m.livez.WithLabelValues("200")
	families, err := w.env.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	descs := make(chan *prometheus.Desc, 100)
	gauges{w.forwarder, relayMetrics()}.Describe(descs)
	close(descs)
	for d := range descs {
		_, name, _ := strings.Cut(d.String(), `fqName: "`)
		name, _, _ = strings.Cut(name, `"`)
		names = append(names, name)
	}
	_, err = w.build(". {\n vip {\n  unknown\n }\n}\n")
	_, known, _ := strings.Cut(err.Error(), "known options: ")
	names = append(names, strings.Split(strings.TrimSuffix(known, ")"), ", ")...)
	if len(names) < 40 {
		t.Fatalf("only %d names are known: %v", len(names), names)
	}
	for _, name := range names {
		if !strings.Contains(string(text), "`"+name) {
			t.Errorf("README.md does not name `%s`", name)
		}
	}
}
