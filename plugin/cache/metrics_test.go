package cache

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nameplane/nameplane/plugin"
)

// scrape is the values of all metrics, by name and type.
func scrape(t testing.TB, env *plugin.Env) map[string]float64 {
	t.Helper()
	families, err := env.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				switch l.GetName() {
				case "type":
					name += " " + l.GetValue()
				case "server":
					if l.GetValue() != "dns://:53" {
						t.Errorf("%s: server %q", f.GetName(), l.GetValue())
					}
				case "zones":
					if l.GetValue() != "example.org.,example.net." {
						name += " of " + l.GetValue()
					}
				case "view":
					if l.GetValue() != "inside" {
						t.Errorf("%s: view %q", f.GetName(), l.GetValue())
					}
				default:
					t.Errorf("%s: label %s", f.GetName(), l.GetName())
				}
			}
			values[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	delete(values, "nameplane_cache_bytes")
	for name, v := range values {
		if len(name) > 5 && name[len(name)-5:] == " of ." {
			delete(values, name)
			values[name[:len(name)-5]] = v
		}
	}
	return values
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	b := newBed(t, "cache example.org example.net {\nserve_stale\nprefetch 1 1m 90%\n}").run(t)
	b.upstream.set(www, first)
	b.upstream.set("no.example.org. A", "NXDOMAIN: "+soa)
	b.upstream.set("live.example.org. A", "live "+first)
	for _, question := range []string{
		www, www, "no.example.org. A", "no.example.org. A", "no.example.org. A", "live.example.org. A", "live.example.org. A", "elsewhere. A",
	} {
		b.ask(t, question)
	}
	b.pass(105 * time.Second)
	b.ask(t, www)
	b.idle(t)
	want := map[string]float64{
		"coredns_cache_requests_total":          8,
		"coredns_cache_hits_total success":      2,
		"coredns_cache_hits_total denial":       2,
		"coredns_cache_misses_total":            4,
		"nameplane_cache_live_total":            2,
		"coredns_cache_prefetch_total":          1,
		"coredns_cache_drops_total":             0,
		"coredns_cache_served_stale_total":      1,
		"coredns_cache_evictions_total success": 0,
		"coredns_cache_evictions_total denial":  0,
		"coredns_cache_entries success":         1,
		"coredns_cache_entries denial":          1,
	}
	if diff := cmp.Diff(want, scrape(t, b.env)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if b.store.bytes.Load() < 400 {
		t.Errorf("%d bytes in two entries", b.store.bytes.Load())
	}
}
