// Package reload is the directive that has a new Corefile put in place of the one that is served.
//
// It only says how often to look: whoever looks outlives the server block that this directive stands in, and hence
// belongs to the server.
package reload

import (
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

// CoreDNS's defaults and bounds.
const (
	defaultInterval = 30 * time.Second
	defaultJitter   = 15 * time.Second
	leastInterval   = 2 * time.Second
	leastJitter     = 1 * time.Second
)

const form = "reload [INTERVAL [JITTER]]"

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "reload",
		Summary: "looks for a new Corefile, and puts it in place without losing a query",
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	line, err := corefile.Only(lines)
	if err != nil {
		return nil, err
	}
	interval, jitter := defaultInterval, defaultJitter
	var problems corefile.Errors
	problems.Join(line.WantArgs(0, 2, form))
	problems.Join(line.NoBody())
	if err := problems.Err(); err != nil {
		return nil, err
	}
	if len(line.Args) > 0 {
		interval, err = duration(line, line.Args[0].Text)
		problems.Join(err)
	}
	if len(line.Args) > 1 {
		jitter, err = duration(line, line.Args[1].Text)
		problems.Join(err)
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	if interval < leastInterval {
		problems.Join(line.Errorf("the interval %s is too short; it must be at least %s", interval, leastInterval))
	}
	if jitter != 0 && jitter < leastJitter {
		problems.Join(line.Errorf("the jitter %s is too short; it must be 0s or at least %s", jitter, leastJitter))
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	every := spread(interval, jitter)
	if env.Reload.Every == 0 || every < env.Reload.Every {
		env.Reload.Every = every
	}
	return nil, nil
}

func duration(line *corefile.Directive, text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err == nil {
		return d, nil
	}
	if _, bare := strconv.ParseFloat(text, 64); bare == nil {
		return 0, line.Errorf("%q has no unit; write %ss for seconds", text, text)
	}
	return 0, line.Errorf("%q is not a duration such as 30s; write %q", text, form)
}

// spread moves the interval by up to half of the jitter to either side, so that the replicas of a cluster do not read
// a new Corefile, nor fail by it, in the same moment.
func spread(interval, jitter time.Duration) time.Duration {
	jitter = min(jitter, interval/2)
	if jitter == 0 {
		return interval
	}
	return interval + rand.N(jitter) - jitter/2
}
