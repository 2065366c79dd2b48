package netns

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nameplane/nameplane/test/peer"
)

// TestProxyName: without "services all", only those that name their forwarder are touched; all others are left to a
// kube-proxy, which in turn passes over ours.
func TestProxyName(t *testing.T) {
	peer.E2E(t)
	for _, mode := range []string{nftables, relay} {
		t.Run(mode, func(t *testing.T) {
			w := theWorld(t)
			s := newSubject(t, w, options{mode: mode, services: "proxy-name=nameplane"}).start(t)
			e := newExam(w, mode, s.folder)
			const label = "service.kubernetes.io/service-proxy-name"
			ours, others := e.service(tcp(80, 8080)).to(e.up(e.a)...), e.service(tcp(80, 8080)).to(e.up(e.b)...).publish(t)
			ours.label(label, "nameplane")
			ours.publish(t)
			e.soon(t, func() error { return e.client.ask(t, "tcp", ours.vip(0), short).only("a") })
			if err := e.client.ask(t, "tcp", others.vip(0), short).nobody(); err != nil {
				t.Error(err)
			}
			others.label(label, "nameplane")
			others.publish(t)
			ours.label(label, "another")
			ours.publish(t)
			e.soon(t, func() error {
				return first(e.client.ask(t, "tcp", others.vip(0), short).only("b"), e.client.ask(t, "tcp", ours.vip(0), short).nobody())
			})
		})
	}
}

// TestRival: two forwarders of all services would fight over every packet, so the second one does not start.
func TestRival(t *testing.T) {
	peer.E2E(t)
	w := theWorld(t)
	w.node.run(t, "nft", "add table ip kube-proxy")
	w.node.run(t, "nft", "add chain ip kube-proxy services")
	t.Cleanup(func() { w.node.run(t, "nft", "delete table ip kube-proxy") })
	s := newSubject(t, w, options{mode: nftables})
	p, err := peer.Start(s.dir, s.bin, "-conf", s.corefile())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	select {
	case <-p.Done():
	case <-ctx.Done():
		_ = p.Kill()
		t.Fatal("it runs beside a kube-proxy")
	}
	if log := s.log(); !strings.Contains(log, "kube-proxy") {
		t.Errorf("the reason is not in the log:\n%s", log)
	}
}
