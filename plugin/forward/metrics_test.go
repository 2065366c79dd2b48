package forward

import (
	"maps"
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
)

// value is a counter's value, or how often a histogram observed; -1 where there is no such metric.
func value(t testing.TB, env *plugin.Env, name string, labels map[string]string) float64 {
	t.Helper()
	families, err := env.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			have := map[string]string{}
			for _, l := range m.GetLabel() {
				have[l.GetName()] = l.GetValue()
			}
			if maps.Equal(have, labels) {
				return m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return -1
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(q *query) {
		switch q.msg().Question[0].Name {
		case "none.":
			q.send(packed(q.reply(dns.RcodeNameError)))
		case "strange.":
			m := q.reply(dns.RcodeSuccess)
			m.SetEdns0(512, false)
			m.Rcode = 3841
			q.send(packed(m))
		default:
			q.answer()
		}
	})
	h, env, _ := built(t, ". "+s.addr)
	for _, name := range []string{"a.", "b.", "none.", "strange."} {
		mustAsk(t, h, name)
	}
	for _, c := range []struct {
		name   string
		labels map[string]string
		want   float64
	}{
		{name: "coredns_forward_requests_total", labels: map[string]string{"to": s.addr}, want: 4},
		{name: "coredns_forward_responses_total", labels: map[string]string{"to": s.addr, "rcode": "NOERROR"}, want: 2},
		{name: "coredns_forward_responses_total", labels: map[string]string{"to": s.addr, "rcode": "NXDOMAIN"}, want: 1},
		{name: "coredns_forward_responses_total", labels: map[string]string{"to": s.addr, "rcode": "3841"}, want: 1},
		{name: "coredns_forward_request_duration_seconds", labels: map[string]string{"to": s.addr, "rcode": "NOERROR"}, want: 2},
		{name: "coredns_proxy_request_duration_seconds", labels: map[string]string{"proxy_name": "forward", "to": s.addr, "rcode": "NXDOMAIN"}, want: 1},
		{name: "coredns_forward_healthcheck_broken_total", labels: map[string]string{}, want: 0},
		{name: "coredns_forward_max_concurrent_rejects_total", labels: map[string]string{}, want: 0},
	} {
		if got := value(t, env, c.name, c.labels); got != c.want {
			t.Errorf("%s%v is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
}
