// Command nameplane is the name plane of a Kubernetes cluster: a DNS server configured by a Corefile.
//
// Its flags, its start lines, its log lines and its signals are CoreDNS's, so that deployments need not change. Here
// only the outside is handled (flags, files, signals, the process's registry); everything else is package server's.
package main

import (
	"io"
	"os"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// Exit codes.
const (
	exitOK           = 0
	exitFailure      = 1
	exitUsage        = 2 // also of a stop that was told twice
	exitNotForwarded = 3 // of "vip explain"
)

// run is the program; it returns its exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	demo := false
	switch {
	case len(args) > 0 && args[0] == "vip":
		return runVIP(args[1:], stdin, stdout, stderr)
	case len(args) > 0 && args[0] == "demo":
		demo, args = true, args[1:]
	}
	f, err := parseFlags(args, stderr)
	switch {
	case err == errHelp:
		return exitOK
	case err != nil:
		return exitUsage
	case f.version:
		printVersion(stdout)
		return exitOK
	case f.plugins:
		printPlugins(stdout)
		return exitOK
	}
	f.demo = demo
	return serve(f, stdin, stdout, stderr)
}
