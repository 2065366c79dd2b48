package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"text/tabwriter"

	"github.com/nameplane/nameplane/plugin/standard"
)

// version is what the build recorded about itself: a tag, or a time and a commit. "dev" where there is no repository.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "dev"
	}
	return strings.TrimPrefix(info.Main.Version, "v")
}

func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(len(s.Value), 9)]
		}
	}
	return "unknown"
}

func printVersion(out io.Writer) {
	fmt.Fprintf(out, "Nameplane-%s\n%s/%s, %s, %s\n", version(), runtime.GOOS, runtime.GOARCH, runtime.Version(), commit())
}

// printPlugins lists the directives in the order of the chain.
func printPlugins(out io.Writer) {
	fmt.Fprintln(out, "Directives, in the order in which they see a query:")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, spec := range standard.List(nil) {
		fmt.Fprintf(table, "  %s\t%s\n", spec.Name, spec.Summary)
	}
	table.Flush()
}
