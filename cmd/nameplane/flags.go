package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

var errHelp = flag.ErrHelp

// flags are the command line.
type flags struct {
	conf    string
	port    uint
	pidfile string
	plugins bool
	quiet   bool
	version bool
	format  string     // of the log: "text" or "json"
	local   *nodeLocal // nil unless it takes NodeLocal DNSCache's place
	idle    []string   // flags of NodeLocal DNSCache without an effect
	demo    bool       // the pods of the Corefile's manifests are played
}

const usage = `nameplane [FLAGS]      serve what a Corefile says
nameplane vip ...      show what its directive vip forwards (nameplane vip -h)
nameplane demo [FLAGS] serve, and play the pods of the manifests that its directive kubernetes names

Flags:
`

// parseFlags reads the command line. What is wrong with it is printed already.
func parseFlags(args []string, stderr io.Writer) (*flags, error) {
	f := new(flags)
	set := flag.NewFlagSet("nameplane", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.Usage = func() {
		fmt.Fprint(stderr, usage)
		set.PrintDefaults()
	}
	set.StringVar(&f.conf, "conf", "", "Corefile to load, \"stdin\" for standard input (default \"Corefile\")")
	set.UintVar(&f.port, "dns.port", 53, "port of zones that name none; 0 for any free one")
	set.UintVar(&f.port, "p", 53, "short for -dns.port")
	set.StringVar(&f.pidfile, "pidfile", "", "file to write the process id to")
	set.BoolVar(&f.plugins, "plugins", false, "list the directives and exit")
	set.BoolVar(&f.quiet, "quiet", false, "print nothing at the start")
	set.BoolVar(&f.version, "version", false, "print the version and exit")
	set.StringVar(&f.format, "log-format", "text", "form of the log, \"text\" or \"json\"")
	var local nodeLocalFlags
	local.define(set)
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	var err error
	switch {
	case set.NArg() > 0:
		err = fmt.Errorf("extra command line arguments: %q", set.Args())
	case f.port > 65535:
		err = errors.New("-dns.port: a number from 0 to 65535 is wanted")
	case f.format != "text" && f.format != "json":
		err = fmt.Errorf("-log-format: %q is neither text nor json", f.format)
	default:
		f.idle = local.idle()
		f.local, err = local.parse(f.port, os.Getenv)
	}
	if f.local != nil && f.conf == "" {
		f.conf = local.corefile
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
	}
	return f, err
}
