// Command controlplane is etcd, kube-apiserver, kube-controller-manager and kube-proxy in one binary, chosen by the name
// it is called by. The tests need a real control plane that can be killed, frozen and restarted, and the forwarder's peer;
// one link instead of four keeps the build short and the cached result small. It is a module of its own so that
// Kubernetes and its requirements never touch the product's go.mod.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
)

func main() {
	switch name := filepath.Base(os.Args[0]); name {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(controllers.NewControllerManagerCommand()))
	case "kube-proxy":
		os.Exit(cli.Run(proxy.NewProxyCommand()))
	default:
		fmt.Fprintf(os.Stderr, "called as %q: call it as etcd, kube-apiserver, kube-controller-manager or kube-proxy\n", name)
		os.Exit(2)
	}
}
