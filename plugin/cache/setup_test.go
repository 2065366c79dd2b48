package cache

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	block.BuildExamples(t, Spec())
}

func TestOptions(t *testing.T) {
	t.Parallel()
	with := func(change func(s *settings)) settings {
		s := defaults()
		s.zones = plugin.Zones{wire.Root}
		if change != nil {
			change(&s)
		}
		return s
	}
	org := plugin.Zones{"\x07example\x03org\x00"}
	for _, test := range []struct {
		line string
		want settings
	}{
		{line: "cache", want: with(nil)},
		{line: "cache {\n}", want: with(nil)},
		{line: "cache 30", want: with(func(s *settings) { s.limits[positive].max, s.limits[negative].max = 30*time.Second, 30*time.Second })},
		{line: "cache example.org", want: with(func(s *settings) { s.zones = org })},
		{line: "cache 30 example.org", want: with(func(s *settings) {
			s.zones = org
			s.limits[positive].max, s.limits[negative].max = 30*time.Second, 30*time.Second
		})},
		{line: "cache {\nsuccess 10\ndenial 20 15 2\n}", want: with(func(s *settings) {
			s.limits[positive].capacity = 10
			s.limits[negative] = limits{capacity: 20, max: 15 * time.Second, min: 2 * time.Second}
		})},
		{line: "cache {\nprefetch 10\n}", want: with(func(s *settings) { s.prefetch = 10 })},
		{line: "cache {\nprefetch 10 30s 25%\n}", want: with(func(s *settings) { s.prefetch, s.gap, s.percentage = 10, 30*time.Second, 25 })},
		{line: "cache {\nserve_stale\n}", want: with(func(s *settings) { s.stale = time.Hour })},
		{line: "cache {\nserve_stale 1h20m\n}", want: with(func(s *settings) { s.stale = 80 * time.Minute })},
		{line: "cache {\nserve_stale 0\n}", want: with(nil)},
		{line: "cache {\nserve_stale 1h immediate 30s 40s\n}", want: with(func(s *settings) { s.stale, s.staleTTL, s.recheck = time.Hour, 30*time.Second, 40*time.Second })},
		{line: "cache {\nserve_stale 0 VERIFY\n}", want: with(func(s *settings) { s.verify = true })},
		{line: "cache {\nserve_stale 2h verify 100ms 30s 5m\n}", want: with(func(s *settings) {
			s.stale, s.verify, s.timeout, s.staleTTL, s.recheck = 2*time.Hour, true, 100*time.Millisecond, 30*time.Second, 5*time.Minute
		})},
		{line: "cache {\nserve_stale\nserve_stale_policy Prefer_Positive\n}", want: with(func(s *settings) { s.stale, s.preferPositive = time.Hour, true })},
		{line: "cache {\nservfail 0\nkeepttl\n}", want: with(func(s *settings) { s.servfail, s.keepTTL = 0, true })},
		{line: "cache {\ndisable success\ndisable denial example.org\n}", want: with(func(s *settings) {
			s.disabled = [classes]plugin.Zones{positive: {wire.Root}, negative: org}
		})},
	} {
		b := newBed(t, test.line)
		if diff := cmp.Diff(test.want, b.settings, cmp.AllowUnexported(settings{}, limits{})); diff != "" {
			t.Errorf("%s: -want +got\n%s", test.line, diff)
		}
	}
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		line string
		want []string // one for each problem
	}{
		{line: "cache\ncache", want: []string{"Corefile:3: cache: given twice"}},
		{line: "cache 0", want: []string{"Corefile:2: cache: the TTL 0 is not a number of seconds"}},
		{line: "cache -1 example.org", want: []string{"the TTL -1"}},
		{line: "cache 3000000000", want: []string{"the TTL 3000000000"}},
		{line: "cache a..b", want: []string{`Corefile:2: "a..b"`}},
		{line: "cache {\nsuccess\n}", want: []string{"Corefile:3: success: wants 1 to 3 arguments"}},
		{line: "cache {\nsuccess a b c\n}", want: []string{`success: "a" is not a whole number`, `"b" is not`, `"c" is not`}},
		{line: "cache {\ndenial 1 0 -1\n}", want: []string{`denial: "0" is not a whole number from 1`, `"-1" is not`}},
		{line: "cache {\ndenial 1 2 3 4\n}", want: []string{"1 to 3 arguments, but has 4"}},
		{line: "cache {\npositive 1\n}", want: []string{`unknown option "positive"`}},
		{line: "cache {\nprefetch -1 60\n}", want: []string{`prefetch: "-1" is not`, `"60" has no unit`}},
		{line: "cache {\nprefetch 1 1m 10\n}", want: []string{`"10" is not a percentage`}},
		{line: "cache {\nprefetch 1 1m 9%\n}", want: []string{`"9%" is not a percentage`}},
		{line: "cache {\nserve_stale 20\n}", want: []string{`"20" has no unit`}},
		{line: "cache {\nserve_stale -1m\n}", want: []string{`"-1m" is out of range`}},
		{line: "cache {\nserve_stale 1h later\n}", want: []string{`"later" is neither immediate nor verify`}},
		{line: "cache {\nserve_stale 1h immediate 100ms\n}", want: []string{`"100ms" is not a whole number of seconds`}},
		{line: "cache {\nserve_stale 1h immediate 4294967296s\n}", want: []string{"out of range"}},
		{line: "cache {\nserve_stale 1h immediate 1s 6m\n}", want: []string{`"6m" is out of range`}},
		{line: "cache {\nserve_stale 1h immediate 1s 1s 1s\n}", want: []string{"one argument too many"}},
		{line: "cache {\nserve_stale 1h verify -1ms 1s 1s 1s\n}", want: []string{"out of range|wants at most 5"}},
		{line: "cache {\nserve_stale_policy prefer_positive\n}", want: []string{"without serve_stale"}},
		{line: "cache {\nserve_stale\nserve_stale_policy none\n}", want: []string{`"none" is not a policy`}},
		{line: "cache {\nservfail 6m\n}", want: []string{`"6m" is out of range`}},
		{line: "cache {\ndisable\n}", want: []string{"wants at least 1 argument"}},
		{line: "cache {\ndisable all\n}", want: []string{`"all" is neither success nor denial`}},
		{line: "cache {\ndisable success a\ndisable success b\n}", want: []string{"disabled twice"}},
		{line: "cache {\nkeepttl yes\nkeepttl\nkeepttl\n}", want: []string{"takes no argument", "given twice"}},
		{line: "cache 0 {\nservfail x\ndenial\n}", want: []string{"Corefile:2: cache: the TTL 0", `Corefile:3: servfail: "x"`, "Corefile:4: denial: wants"}},
	} {
		_, err := Spec().Build(block.NewEnv(new(block.Buffer)), lines(t, test.line))
		if err == nil {
			t.Errorf("%s: no error", test.line)
			continue
		}
		for _, want := range test.want {
			found := false
			for _, alternative := range strings.Split(want, "|") {
				found = found || strings.Contains(err.Error(), alternative)
			}
			if !found {
				t.Errorf("%s: error\n%v\nwant %s", test.line, err, want)
			}
		}
	}
}

// keeper is the Keeper of a test: what one instance made, the next one finds.
type keeper map[string]any

func (k keeper) Keep(key string, make func() any) any {
	if _, ok := k[key]; !ok {
		k[key] = make()
	}
	return k[key]
}

// TestReload: what was kept is there for the next instance, whose counters go on where the old one's were, and which
// refreshes by a chain of its own.
func TestReload(t *testing.T) {
	t.Parallel()
	old := newBed(t, "cache")
	old.upstream.set(www, first)
	env := block.NewEnv(old.log)
	env.Now, env.Keeper = old.clock, keeper{}
	build := func() *Cache {
		h, err := Spec().Build(env, lines(t, "cache"))
		if err != nil {
			t.Fatal(err)
		}
		return h.(*Cache)
	}
	for n := range 2 {
		c := build()
		env.Instance = inView(c)
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := block.Serve(old.exchange(t, www), c, old.upstream); err != nil {
			t.Fatal(err)
		}
		if got := scrape(t, env)["coredns_cache_entries success"]; got != 1 {
			t.Errorf("instance %d: %v entries, want 1", n, got)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := old.upstream.count(); got != 1 {
		t.Errorf("%d questions upstream, want 1", got)
	}
	counts := scrape(t, env)
	if counts["coredns_cache_requests_total"] != 2 || counts["coredns_cache_hits_total success"] != 1 {
		t.Errorf("after two instances: %v", counts)
	}
	if _, shown := counts["coredns_cache_entries success"]; shown {
		t.Error("the size of a store that is not in use is shown")
	}
}

// TestFailedReload: an instance that was never started leaves the old one's size in the metrics.
func TestFailedReload(t *testing.T) {
	t.Parallel()
	b := newBed(t, "cache")
	b.upstream.set(www, first)
	b.ask(t, www)
	h, err := Spec().Build(b.env, lines(t, "cache 30"))
	if err != nil {
		t.Fatal(err)
	}
	c := h.(*Cache)
	b.env.Instance = inView(c)
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := scrape(t, b.env)["coredns_cache_entries success"]; got != 0 {
		t.Errorf("%v entries in the new one, want 0", got)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if got := scrape(t, b.env)["coredns_cache_entries success"]; got != 1 {
		t.Errorf("%v entries in the old one, want 1", got)
	}
}
