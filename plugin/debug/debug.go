// Package debug is the directive that lets a panic end the process, so that its whole trace is seen. Without it a panic
// costs one query and is counted, which is what a cluster wants.
package debug

import (
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "debug",
		Summary: "lets a panic end the process with its trace",
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	var problems corefile.Errors
	for _, line := range lines {
		problems.Join(line.WantArgs(0, 0, "debug"))
		problems.Join(line.NoBody())
	}
	env.Listen.Debug = true
	return nil, problems.Err()
}
