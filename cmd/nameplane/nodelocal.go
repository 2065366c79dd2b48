package main

import (
	"flag"
	"log/slog"
	"slices"
	"strings"
)

// wrapperFlags are those of NodeLocal DNSCache's program around CoreDNS, so that its DaemonSet's arguments are understood.
// What they are about is not this program's: an interface with the addresses, rules of a firewall, a Corefile made of a
// template. Those that are given are told of.
type wrapperFlags struct{ set *flag.FlagSet }

// wrapperFlagNames maps a flag to what it means there; those that take no value are in wrapperSwitches.
func wrapperFlagNames() map[string]string {
	return map[string]string{
		"localip":                "addresses of the interface; use the directive bind",
		"interfacename":          "name of the interface",
		"syncinterval":           "time between two looks at the rules",
		"initialdelay":           "time before the rules are made",
		"metrics-listen-address": "address of the wrapper's own metrics",
		"basecorefile":           "template of the Corefile; use -conf",
		"corefile":               "result of the template; use -conf",
		"kubednscm":              "folder of kube-dns's ConfigMap",
		"upstreamsvc":            "service that is the upstream; use the directive forward",
		"health-port":            "port of health; use the directive health",
	}
}

func wrapperSwitches() map[string]string {
	return map[string]string{
		"setupinterface": "makes the interface",
		"setupiptables":  "makes rules of iptables",
		"setupebtables":  "makes rules of ebtables",
		"skipteardown":   "leaves interface and rules behind",
	}
}

// define adds the flags to a command line.
func (w *wrapperFlags) define(set *flag.FlagSet) {
	w.set = set
	for name, meaning := range wrapperFlagNames() {
		set.String(name, "", "NodeLocal DNSCache: "+meaning+" (no effect)")
	}
	for name, meaning := range wrapperSwitches() {
		set.Bool(name, false, "NodeLocal DNSCache: "+meaning+" (no effect)")
	}
}

// warn tells of the flags that were given.
func (w *wrapperFlags) warn(log *slog.Logger) {
	texts, switches := wrapperFlagNames(), wrapperSwitches()
	var given []string
	w.set.Visit(func(f *flag.Flag) {
		if texts[f.Name] != "" || switches[f.Name] != "" {
			given = append(given, "-"+f.Name)
		}
	})
	if len(given) == 0 {
		return
	}
	slices.Sort(given)
	log.Warn("without effect: " + strings.Join(given, ", ") + "; the interface with the addresses, its rules and the Corefile are made by others")
}
