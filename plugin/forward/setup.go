package forward

import (
	"crypto/tls"
	"net/netip"
	"os"
	"slices"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
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

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	m, err := newMetrics(env.Metrics)
	if err != nil {
		return nil, lines[0].Errorf("cannot register metrics: %v", err)
	}
	var (
		problems corefile.Errors
		h        = &Handler{suspects: make(chan *upstream, mostSuspects), refresh: refreshTime}
	)
	for _, line := range lines {
		problems.Join(h.add(env, line, m))
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	env.Listen.AnyClass = true // what an upstream knows of other classes is its own business
	return h, nil
}

// add reads one line.
func (h *Handler) add(env *plugin.Env, line *corefile.Directive, m *metrics) error {
	if err := line.WantArgs(2, -1, form); err != nil {
		return err
	}
	var (
		problems corefile.Errors
		err      error
		s        = defaults()
		r        = &roster{dir: env.Dir, hosts: map[string][]netip.Addr{}}
	)
	s.from, err = plugin.ParseZones(line.Args[:1], nil)
	problems.Join(err)
	r.targets, err = parseTargets(line, env.Dir)
	problems.Join(err)
	problems.Join(line.Decode(s.options(env.Dir)...))
	problems.Join(s.conflicts(line, r.targets))
	found, err := r.endpoints()
	if err != nil {
		problems.Join(line.Errorf("%v", err))
	}
	if err := problems.Err(); err != nil {
		return err
	}
	s.check.tcp = s.forceTCP
	s.tls.ClientSessionCache = tls.NewLRUClientSessionCache(len(r.targets))
	f := newForward(s, env.Log, m, h.suspects)
	r.line, r.lookup = f, newLookup(s.resolvers)
	r.apply(found)
	h.forwards, h.rosters = append(h.forwards, f), append(h.rosters, r)
	return nil
}

// conflicts are what options say against one another, or against the line's upstreams.
func (s *settings) conflicts(line *corefile.Directive, targets []target) error {
	var problems corefile.Errors
	if s.maxAge > 0 && s.maxAge < s.expire {
		problems.Join(line.Errorf("max_age %s is less than expire %s: no connection would ever expire", s.maxAge, s.expire))
	}
	for _, t := range targets {
		if t.server != "" && s.serverName != "" {
			problems.Join(line.Errorf("%q names its server, and tls_servername names another, %q; leave one of them out", t.text, s.serverName))
		}
	}
	return problems.Err()
}

// parseTargets reads the TO of a line.
func parseTargets(line *corefile.Directive, dir string) ([]target, error) {
	words := line.Args[1:]
	if len(words) > maxUpstreams {
		return nil, line.Errorf("%d upstreams are given; at most %d are allowed", len(words), maxUpstreams)
	}
	var (
		problems corefile.Errors
		all      []target
	)
	isFile := func(path string) bool {
		_, err := os.Stat(newResolvConf(dir, path).path)
		return err == nil
	}
	for _, word := range words {
		t, err := parseTarget(word.Text, isFile)
		if err != nil {
			problems.Join(line.Errorf("%v", err))
			continue
		}
		if !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	return all, problems.Err()
}
