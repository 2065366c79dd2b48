package block

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nameplane/nameplane/plugin"
)

// Counters are the counters of env that are not 0, by name and labels: `coredns_acl_allowed_requests_total{server="dns://:53",view=""}`.
func Counters(t testing.TB, env *plugin.Env) map[string]float64 {
	t.Helper()
	families, err := env.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, family := range families {
		for _, m := range family.Metric {
			if m.Counter.GetValue() == 0 {
				continue
			}
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			found[family.GetName()+"{"+strings.Join(labels, ",")+"}"] = m.Counter.GetValue()
		}
	}
	return found
}
