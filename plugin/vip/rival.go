package vip

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"time"
)

// runner runs a program and returns what it prints.
type runner func(ctx context.Context, name string, args ...string) (string, error)

func run(ctx context.Context, name string, args ...string) (string, error) {
	printed, err := exec.CommandContext(ctx, name, args...).Output()
	return string(printed), err
}

const probeLimit = 10 * time.Second

// rivals looks for the rules of a kube-proxy: its table in nftables, or the chain that it keeps in iptables, also for IPVS. Where
// iptables writes to nftables, as it does on most systems by now, nft alone sees the chain, so that an image needs no iptables.
// With "services all" two would forward the same connections. Rules that cannot be read, for want of a program or a
// privilege, count as none: who may not read them may not write them either.
func rivals(ctx context.Context, run runner) error {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	const advice = `: with "services all" both would forward the same connections. Take kube-proxy off this node first ` +
		`("kube-proxy --cleanup" removes its rules), or leave out "services all", and label the services that are to be forwarded here`
	for _, probe := range []struct {
		command, trace, what string
	}{
		{"nft list tables", " kube-proxy\n", "the table kube-proxy in nftables"},
		{"nft list chains", "chain KUBE-SERVICES {", "the chain KUBE-SERVICES of iptables in nftables"},
		{"iptables-save -t nat", ":KUBE-SERVICES ", "the chain KUBE-SERVICES in iptables"},
		{"ip6tables-save -t nat", ":KUBE-SERVICES ", "the chain KUBE-SERVICES in ip6tables"},
		{"iptables-legacy-save -t nat", ":KUBE-SERVICES ", "the chain KUBE-SERVICES in legacy iptables"},
		{"ip6tables-legacy-save -t nat", ":KUBE-SERVICES ", "the chain KUBE-SERVICES in legacy ip6tables"},
	} {
		words := strings.Fields(probe.command)
		printed, err := run(ctx, words[0], words[1:]...)
		if err == nil && strings.Contains(printed, probe.trace) {
			return errors.New("a kube-proxy forwards on this node: there is " + probe.what + advice)
		}
	}
	return nil
}
