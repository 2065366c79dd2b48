package netns

import (
	"context"
	"errors"
	"net/netip"
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

// TestOpened: what is closed by default can be opened, and no more than what is named.
func TestOpened(t *testing.T) {
	peer.E2E(t)
	for _, mode := range []string{nftables, relay} {
		t.Run(mode, func(t *testing.T) {
			w := theWorld(t)
			s := newSubject(t, w, options{
				mode: mode, allow: "pods node 192.168.50.0/24 fd00:192:168:50::/64",
				extra: "external_ips on\nnodeport_addresses 192.168.60.0/24 fd00:192:168:60::/64",
			}).start(t)
			exam := newExam(w, mode, s.folder)
			for _, f := range []family{v4, v6} {
				t.Run(f.String(), func(t *testing.T) { opened(t, exam.in(f)) })
			}
		})
	}
}

func opened(t *testing.T, e *exam) {
	s, number := e.nodePortService()
	external := netip.MustParseAddr(map[family]string{v4: "203.0.113.98", v6: "2001:db8::fffe"}[e.family])
	s.Spec.ExternalIPs = []string{external.String()}
	s.to(e.up(e.a, e.remote)...).publish(t)
	for _, target := range []netip.AddrPort{s.vip(0), netip.AddrPortFrom(external, 80)} {
		e.soon(t, func() error { return e.ext.ask(t, "tcp", target, many).evenly("a", "remote") })
	}
	second := netip.AddrPortFrom(e.nodeAddrs(e.family)[1], number)
	e.soon(t, func() error { return e.node2.ask(t, "tcp", second, short).one() })
	if err := errors.Join(e.node2.ask(t, "tcp", s.vip(0), short).nobody(),
		e.ext.ask(t, "tcp", e.node.at(e.family, number), short).nobody()); err != nil {
		t.Error(err)
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
