package forward

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

// maxUpstreams is the number of TO in a line that CoreDNS allows; a resolv.conf may stand for several.
const maxUpstreams = 15

const form = "forward FROM TO..."

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "forward",
		Summary: "asks other name servers",
		Build:   build,
	}
}

// notBuilt are the options of CoreDNS's forward that are known and not there yet.
var notBuilt = [...]string{
	"doh_method", "failfast_all_unhealthy_upstreams", "failover", "max_age", "max_connect_attempts", "max_idle_conns",
	"next", "next_on_nodata", "resolver", "source_address", "tls", "tls_servername",
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	m, err := newMetrics(env.Metrics)
	if err != nil {
		return nil, lines[0].Errorf("cannot register metrics: %v", err)
	}
	var (
		problems corefile.Errors
		h        = new(Handler)
	)
	for _, line := range lines {
		f, err := newForward(env, line, m)
		problems.Join(err)
		h.forwards = append(h.forwards, f)
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	env.Listen.AnyClass = true // what an upstream knows of other classes is its own business
	return h, nil
}

// settings are what one line says, with CoreDNS's defaults.
type settings struct {
	from, except  plugin.Zones
	policy        string
	forceTCP      bool
	preferUDP     bool
	maxFails      int
	maxConcurrent int
	expire        time.Duration
	readTimeout   time.Duration
	check         check
}

func newForward(env *plugin.Env, line *corefile.Directive, m *metrics) (*forward, error) {
	if err := line.WantArgs(2, -1, form); err != nil {
		return nil, err
	}
	s := settings{
		policy: "random", maxFails: 2, expire: 10 * time.Second, readTimeout: 2 * time.Second,
		check: check{interval: 500 * time.Millisecond, patience: time.Second, name: wire.Root, recursion: true},
	}
	var (
		problems corefile.Errors
		err      error
	)
	s.from, err = plugin.ParseZones(line.Args[:1], nil)
	problems.Join(err)
	to, err := parseUpstreams(line, env.Dir)
	problems.Join(err)
	problems.Join(line.Decode(s.options()...))
	if err := problems.Err(); err != nil {
		return nil, err
	}
	s.check.tcp = s.forceTCP
	return s.forward(env, to, m), nil
}

func (s *settings) options() []corefile.Option {
	options := []corefile.Option{
		corefile.Func("except", "except NAME...", 1, -1, func(o *corefile.Directive) error {
			zones, err := plugin.ParseZones(o.Args, nil)
			s.except = append(s.except, zones...)
			return err
		}).Repeated(),
		corefile.Flag("force_tcp", &s.forceTCP),
		corefile.Flag("prefer_udp", &s.preferUDP),
		corefile.Enum("policy", &s.policy, "random", "round_robin", "sequential"),
		corefile.Int("max_fails", "max_fails NUMBER", &s.maxFails, 0, math.MaxInt32),
		corefile.Int("max_concurrent", "max_concurrent NUMBER", &s.maxConcurrent, 0, math.MaxInt),
		corefile.Duration("expire", "expire DURATION", &s.expire, 0, 0),
		corefile.Duration("read_timeout", "read_timeout DURATION", &s.readTimeout, time.Nanosecond, 0),
		corefile.Func("health_check", healthForm, 1, 4, s.check.decode),
	}
	for _, name := range notBuilt {
		options = append(options, corefile.Func(name, name, 0, -1, func(o *corefile.Directive) error {
			return o.Errorf("this option of forward is not built yet; leave it out, or keep CoreDNS for this zone")
		}).Repeated())
	}
	return options
}

const healthForm = "health_check DURATION [no_rec] [domain NAME]"

// decode reads the arguments of health_check.
func (c *check) decode(o *corefile.Directive) error {
	duration := *o
	duration.Args = o.Args[:1]
	line := corefile.Directive{Name: o.Name, Pos: o.Pos, Body: []*corefile.Directive{&duration}}
	if err := line.Decode(corefile.Duration(o.Name, healthForm, &c.interval, 0, 0)); err != nil {
		return err
	}
	for words := o.Args[1:]; len(words) > 0; words = words[1:] {
		switch word := words[0]; {
		case word.Text == "no_rec":
			c.recursion = false
		case word.Text == "domain" && len(words) > 1:
			words = words[1:]
			name, err := wire.ParseName(words[0].Text)
			if err != nil {
				return o.Errorf("%v", err)
			}
			c.name = name
		default:
			return o.Errorf("%q is not understood; write %q", word.Text, healthForm)
		}
	}
	return nil
}

// parseUpstreams reads the TO of a line; the first one of the same address counts.
func parseUpstreams(line *corefile.Directive, dir string) ([]string, error) {
	words := line.Args[1:]
	if len(words) > maxUpstreams {
		return nil, line.Errorf("%d upstreams are given; at most %d are allowed", len(words), maxUpstreams)
	}
	var (
		problems corefile.Errors
		all      []string
	)
	for _, word := range words {
		found, err := parseUpstream(word.Text, dir)
		if err != nil {
			problems.Join(line.Errorf("%v", err))
		}
		for _, addr := range found {
			if !slices.Contains(all, addr) {
				all = append(all, addr)
			}
		}
	}
	return all, problems.Err()
}

// schemes that CoreDNS's forward knows and this one does not yet.
var schemes = [...]string{"tls", "https", "quic", "grpc"}

// parseUpstream reads one TO: an address, or a file in the shape of resolv.conf, which may stand for several.
func parseUpstream(text, dir string) ([]string, error) {
	if scheme, _, found := strings.Cut(text, "://"); found && scheme != "dns" {
		if slices.Contains(schemes[:], scheme) {
			return nil, fmt.Errorf("%q: upstreams by %s:// are not built yet; only dns:// is", text, scheme)
		}
		return nil, fmt.Errorf("%q: %s:// is not a transport of upstreams; write dns://IP[:PORT]", text, scheme)
	}
	host, isURL := strings.CutPrefix(text, "dns://")
	if addr, ok := parseAddress(host); ok {
		return []string{addr.String()}, nil
	}
	if isURL {
		return nil, fmt.Errorf("%q is not an address; write dns://IP[:PORT]", text)
	}
	return readResolvConf(text, dir)
}
