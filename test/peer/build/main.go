// Command build makes sure that the cache holds every peer that the end-to-end tests need and prints where each one is,
// a line each. It lets a pipeline build them once, outside any test's time limit.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/nameplane/nameplane/test/peer"
)

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	code := 0
	for _, p := range []struct {
		name  string
		build func(context.Context) (string, error)
	}{
		{name: "controlplane", build: peer.BuildControlPlane},
		{name: "coredns", build: peer.BuildCoreDNS},
		{name: "helm", build: peer.BuildHelm},
	} {
		path, err := p.build(ctx)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
			continue
		}
		fmt.Println(p.name, path)
	}
	return code
}
