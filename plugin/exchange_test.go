package plugin_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

// host counts what an Exchange asks of it.
type host struct {
	err      error
	yields   int
	resolved string
}

func (h *host) Yield(*plugin.Exchange) error {
	h.yields++
	return h.err
}

func (h *host) Resolve(_ context.Context, _ *plugin.Exchange, name wire.Name, _ uint16) (*dns.Msg, error) {
	h.resolved = name.String()
	return new(dns.Msg), nil
}

func TestNextGoesAlongTheChain(t *testing.T) {
	t.Parallel()
	var order []string
	link := func(name string, times int) plugin.Handler {
		return block.HandlerFunc(func(ctx context.Context, x *plugin.Exchange) error {
			order = append(order, name+"<")
			var err error
			for range times {
				err = x.Next(ctx)
			}
			order = append(order, ">"+name)
			return err
		})
	}
	for _, c := range []struct {
		name  string
		chain []plugin.Handler
		want  []string
		err   error
	}{
		{name: "empty", err: plugin.ErrNoHandler},
		{name: "all hand on", chain: []plugin.Handler{link("a", 1), link("b", 1)}, want: []string{"a<", "b<", ">b", ">a"}, err: plugin.ErrNoHandler},
		{name: "the last answers", chain: []plugin.Handler{link("a", 1), link("b", 0), link("c", 1)}, want: []string{"a<", "b<", ">b", ">a"}},
		{name: "asked again", chain: []plugin.Handler{link("a", 2), link("b", 1), link("c", 0)}, // as autopath asks for each search domain
			want: []string{"a<", "b<", "c<", ">c", ">b", "b<", "c<", ">c", ">b", ">a"}},
	} {
		order = nil
		x := block.NewExchange(t, "a.", dns.TypeA)
		for range 2 { // from the pool
			order = nil
			if err := block.Serve(x, c.chain...); !errors.Is(err, c.err) {
				t.Errorf("%s: error %v, want %v", c.name, err, c.err)
			}
			if !slices.Equal(order, c.want) {
				t.Errorf("%s: %v, want %v", c.name, order, c.want)
			}
		}
	}
}

func TestBlockYieldsOnce(t *testing.T) {
	t.Parallel()
	x := block.NewExchange(t, "a.", dns.TypeA)
	server := new(host)
	x.Begin(server, nil)
	for range 3 {
		if err := x.Block(); err != nil || !x.Blocked() {
			t.Fatalf("Block: %v, blocked %v", err, x.Blocked())
		}
	}
	if server.yields != 1 {
		t.Errorf("yielded %d times, want once", server.yields)
	}
	x.Begin(server, nil)
	if x.Blocked() {
		t.Error("the next query is blocked from its beginning")
	}
	server.err = plugin.ErrOverload
	if err := x.Block(); !errors.Is(err, plugin.ErrOverload) || x.Blocked() {
		t.Errorf("Block: %v, blocked %v", err, x.Blocked())
	}
	if _, err := x.Resolve(t.Context(), wire.Root, dns.TypeNS); !errors.Is(err, plugin.ErrOverload) || server.resolved != "" {
		t.Errorf("Resolve: %v, asked for %q", err, server.resolved)
	}
	server.err = nil
	if _, err := x.Resolve(t.Context(), wire.Root, dns.TypeNS); err != nil || server.resolved != "." || !x.Blocked() {
		t.Errorf("Resolve: %v, asked for %q, blocked %v", err, server.resolved, x.Blocked())
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		transport plugin.Transport
		size      uint16
		want      int
	}{
		{name: "UDP without EDNS", want: 512},
		{name: "UDP", size: 1232, want: 1232},
		{name: "a size below the least", size: 100, want: 512},
		{name: "the largest size", size: 65535, want: 65535},
		{name: "TCP", transport: plugin.TCP, want: 65535},
		{name: "TCP with EDNS", transport: plugin.TCP, size: 1232, want: 65535},
	} {
		m := new(dns.Msg).SetQuestion("a.", dns.TypeA)
		if c.size > 0 {
			m.SetEdns0(c.size, false)
		}
		x := block.FromMsg(t, m)
		x.Transport = c.transport
		if got := x.Limit(); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestRegister(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	counter := func(help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "queries_total", Help: help})
	}
	first, err := plugin.Register(registry, counter("a"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := plugin.Register(registry, counter("a"))
	if err != nil || again != first {
		t.Errorf("the second is another one, or %v", err)
	}
	if _, err := plugin.Register(registry, counter("b")); err == nil {
		t.Error("no error for one name with two descriptions")
	}
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "queries_total", Help: "a"})
	if got, err := plugin.Register[prometheus.Gauge](registry, gauge); err == nil && got == gauge {
		t.Error("a gauge took a counter's place")
	}
}

func TestZonesMatch(t *testing.T) {
	t.Parallel()
	var zones plugin.Zones
	for _, s := range []string{"org.", "example.org.", "b.example.org."} {
		n, err := wire.ParseName(s)
		if err != nil {
			t.Fatal(err)
		}
		zones = append(zones, n)
	}
	for _, c := range []struct {
		name string
		zone string
		left int
	}{
		{name: "a.B.example.ORG.", zone: "b.example.org.", left: 1},
		{name: "example.org.", zone: "example.org."},
		{name: "xexample.org.", zone: "org.", left: 1},
		{name: "net."},
		{name: "."},
	} {
		x := block.NewExchange(t, c.name, dns.TypeA)
		zone, left, ok := zones.Match(&x.Query)
		if ok != (c.zone != "") || ok && zone.String() != c.zone || left != c.left || zones.Contains(&x.Query) != ok {
			t.Errorf("%s: %q, %d, %v", c.name, zone, left, ok)
		}
	}
}
