package netns

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nameplane/nameplane/test/kube"
	"github.com/nameplane/nameplane/test/peer"
)

// TestKubeProxy asks kube-proxy what Nameplane is asked: a case that the peer fails has to say why that is meant.
func TestKubeProxy(t *testing.T) {
	peer.E2E(t)
	w := theWorld(t)
	cluster := kube.Start(t, kube.Options{})
	from := newAPIServer(t, w, cluster)
	startKubeProxy(t, w, cluster)
	e := newExam(w, kubeProxy, from)
	e.limit = 5 * time.Second // it waits a second after each change
	runCases(t, e, cases())
}

func startKubeProxy(t *testing.T, w *world, cluster *kube.Cluster) {
	t.Helper()
	dir := t.TempDir()
	p, err := peer.Start(dir, filepath.Join(peer.ControlPlane(t), "kube-proxy"),
		"--kubeconfig="+cluster.Kubeconfig(), "--hostname-override="+nodeName, "--proxy-mode=nftables", "--nodeport-addresses=primary",
		"--cluster-cidr="+strings.ReplaceAll(podCIDRs, " ", ","), "--healthz-bind-address=127.0.0.1:10256",
		"--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.Tail(40))
		}
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
		for _, family := range []string{"ip", "ip6"} {
			w.node.run(t, "nft", "delete table "+family+" kube-proxy")
		}
	})
	err = p.Await(t.Context(), 30*time.Second, func(ctx context.Context) error {
		client := http.Client{Timeout: time.Second}
		answer, err := client.Get("http://127.0.0.1:10256/healthz")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("healthz: %s", answer.Status)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
