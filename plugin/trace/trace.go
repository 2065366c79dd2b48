// Package trace is the directive that says that there is no tracing: it would bring the libraries of OpenTelemetry, Zipkin and
// Datadog, more code than the rest of the server, and a hook at each link of the chain that a query passes in under a
// microsecond. A Corefile that asks for it is refused and not read as if it did not: spans that never come are looked for
// when it is too late.
package trace

import (
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "trace",
		Summary: "is refused: there is no tracing; see log, prometheus and metadata",
		Build:   build,
	}
}

func build(_ *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	var problems corefile.Errors
	for _, line := range lines {
		endpoint := "a Zipkin or Datadog endpoint"
		if n := len(line.Args); n > 0 {
			endpoint = line.Args[n-1].Text
		}
		problems.Join(line.Errorf("there is no tracing: no spans would be sent to %s. Remove the line; "+
			"log prints each query with its duration, and prometheus counts durations by zone and view", endpoint))
	}
	return nil, problems.Err()
}
