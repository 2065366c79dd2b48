package cache

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "cache",
		Summary: "keeps replies until their TTL has passed",
		Build:   build,
	}
}

// settings are what the directive says, with CoreDNS's defaults.
type settings struct {
	zones    plugin.Zones
	limits   [classes]limits
	disabled [classes]plugin.Zones
	servfail time.Duration // that a failure holds
	keepTTL  bool

	prefetch   int // hits; 0 for never
	gap        time.Duration
	percentage int // of the TTL

	stale          time.Duration // past the end of a TTL; 0 for never
	verify         bool          // ask before a stale reply is given, not behind
	timeout        time.Duration // of that; 0 for the upstream's own
	staleTTL       time.Duration // in stale replies
	recheck        time.Duration // between a refresh that failed and the next
	preferPositive bool
}

func defaults() settings {
	const capacity = 10000 // 9984, as it is made a multiple of 256
	return settings{
		limits: [classes]limits{
			positive: {capacity: capacity, min: 5 * time.Second, max: time.Hour},
			negative: {capacity: capacity, min: 5 * time.Second, max: 30 * time.Minute},
		},
		servfail: 5 * time.Second,
		gap:      time.Minute, percentage: 10,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	line, err := corefile.Only(lines)
	if err != nil {
		return nil, err
	}
	s := defaults()
	if err := s.decode(line, env.Zones); err != nil {
		return nil, err
	}
	m, err := newMeters(env, s.zones)
	if err != nil {
		return nil, line.Errorf("cannot register metrics: %v", err)
	}
	made := env.Keep("store", func() any {
		return newStore([classes]int{s.limits[positive].capacity, s.limits[negative].capacity})
	})
	return &Cache{
		settings: s, store: made.(*store), meters: m, now: env.Now, env: env,
		refresher: &refresher{log: env.Log},
	}, nil
}

// decode reads "cache [TTL] [ZONES...] { ... }". A first argument that is a number is the TTL.
func (s *settings) decode(line *corefile.Directive, block plugin.Zones) error {
	var problems corefile.Errors
	words := line.Args
	if len(words) > 0 {
		if n, err := strconv.Atoi(words[0].Text); err == nil {
			problems.Join(s.decodeTTL(line, n))
			words = words[1:]
		}
	}
	zones, err := plugin.ParseZones(words, block)
	problems.Join(err)
	s.zones = zones
	problems.Join(line.Decode(s.options()...))
	if s.preferPositive && !hasOption(line, "serve_stale") {
		problems.Join(line.Errorf("serve_stale_policy without serve_stale has no effect; add serve_stale"))
	}
	return problems.Err()
}

func (s *settings) decodeTTL(line *corefile.Directive, seconds int) error {
	if seconds < 1 || seconds > math.MaxInt32 {
		return line.Errorf("the TTL %d is not a number of seconds from 1 to %d", seconds, math.MaxInt32)
	}
	for c := range s.limits {
		s.limits[c].max = time.Duration(seconds) * time.Second
	}
	return nil
}

func hasOption(line *corefile.Directive, name string) bool {
	return slices.ContainsFunc(line.Body, func(o *corefile.Directive) bool { return o.Name == name })
}

const (
	prefetchForm = "prefetch AMOUNT [DURATION [PERCENTAGE%]]"
	staleForm    = "serve_stale [DURATION] [immediate [RESPONSE_TTL [FAILURE_RECHECK]] | " +
		"verify [VERIFY_TIMEOUT [RESPONSE_TTL [FAILURE_RECHECK]]]]"
	policyForm  = "serve_stale_policy prefer_positive"
	disableForm = "disable success|denial [ZONES...]"
)

func (s *settings) options() []corefile.Option {
	return []corefile.Option{
		corefile.Func("success", "success CAPACITY [TTL [MINTTL]]", 1, 3, s.limits[positive].decode),
		corefile.Func("denial", "denial CAPACITY [TTL [MINTTL]]", 1, 3, s.limits[negative].decode),
		corefile.Func("prefetch", prefetchForm, 1, 3, s.decodePrefetch),
		corefile.Func("serve_stale", staleForm, 0, 5, s.decodeStale),
		corefile.Func("serve_stale_policy", policyForm, 1, 1, func(o *corefile.Directive) error {
			s.preferPositive = strings.EqualFold(o.Args[0].Text, "prefer_positive")
			if !s.preferPositive {
				return o.Errorf("%q is not a policy; write %q", o.Args[0].Text, policyForm)
			}
			return nil
		}),
		corefile.Duration("servfail", "servfail DURATION", &s.servfail, 0, 5*time.Minute), // RFC 2308, section 7.1
		corefile.Func("disable", disableForm, 1, -1, s.decodeDisable).Repeated(),
		corefile.Flag("keepttl", &s.keepTTL),
	}
}

// argument reads argument i of a line by an option for one, and leaves what it sets as it is when there is none.
func argument(o *corefile.Directive, i int, option corefile.Option) error {
	if i >= len(o.Args) {
		return nil
	}
	one := *o
	one.Args = o.Args[i : i+1]
	return option.Decode(&one)
}

func (l *limits) decode(o *corefile.Directive) error {
	var problems corefile.Errors
	ttl, least := int(l.max/time.Second), int(l.min/time.Second)
	form := o.Name + " CAPACITY [TTL [MINTTL]]"
	problems.Join(argument(o, 0, corefile.Int(o.Name, form, &l.capacity, 0, math.MaxInt32)))
	problems.Join(argument(o, 1, corefile.Int(o.Name, form, &ttl, 1, math.MaxInt32)))
	problems.Join(argument(o, 2, corefile.Int(o.Name, form, &least, 0, math.MaxInt32)))
	l.max, l.min = time.Duration(ttl)*time.Second, time.Duration(least)*time.Second
	return problems.Err()
}

func (s *settings) decodePrefetch(o *corefile.Directive) error {
	var problems corefile.Errors
	problems.Join(argument(o, 0, corefile.Int(o.Name, prefetchForm, &s.prefetch, 0, math.MaxInt32)))
	problems.Join(argument(o, 1, corefile.Duration(o.Name, prefetchForm, &s.gap, 0, 0)))
	if len(o.Args) < 3 {
		return problems.Err()
	}
	text := o.Args[2].Text
	n, err := strconv.Atoi(strings.TrimSuffix(text, "%"))
	if err != nil || !strings.HasSuffix(text, "%") || n < 10 || n > 90 {
		problems.Join(o.Errorf("%q is not a percentage from 10%% to 90%%", text))
	}
	s.percentage = n
	return problems.Err()
}

func (s *settings) decodeStale(o *corefile.Directive) error {
	var problems corefile.Errors
	s.stale = time.Hour
	problems.Join(argument(o, 0, corefile.Duration(o.Name, staleForm, &s.stale, 0, 0)))
	next := 2
	if len(o.Args) > 1 {
		switch strings.ToLower(o.Args[1].Text) {
		case "verify":
			s.verify = true
			problems.Join(argument(o, 2, corefile.Duration(o.Name, staleForm, &s.timeout, 0, 0)))
			next = 3
		case "immediate":
		default:
			problems.Join(o.Errorf("%q is neither immediate nor verify", o.Args[1].Text))
		}
	}
	if len(o.Args) > next+2 {
		problems.Join(o.Errorf("%q is one argument too many; write %q", o.Args[next+2].Text, staleForm))
	}
	problems.Join(argument(o, next, corefile.Duration(o.Name, staleForm, &s.staleTTL, 0, math.MaxUint32*time.Second)))
	problems.Join(argument(o, next+1, corefile.Duration(o.Name, staleForm, &s.recheck, 0, 5*time.Minute)))
	if s.staleTTL%time.Second != 0 {
		problems.Join(o.Errorf("the response TTL %q is not a whole number of seconds", o.Args[next].Text))
	}
	return problems.Err()
}

func (s *settings) decodeDisable(o *corefile.Directive) error {
	c := positive
	switch o.Args[0].Text {
	case positive.String():
	case negative.String():
		c = negative
	default:
		return o.Errorf("%q is neither success nor denial; write %q", o.Args[0].Text, disableForm)
	}
	if s.disabled[c] != nil {
		return o.Errorf("%s is disabled twice; write one line with all zones", c)
	}
	zones, err := plugin.ParseZones(o.Args[1:], plugin.Zones{wire.Root})
	s.disabled[c] = zones
	return err
}
