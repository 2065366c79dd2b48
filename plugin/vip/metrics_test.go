package vip

import (
	"testing"
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
