package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/nameplane/nameplane/test/peer"
)

// TestExplain compares what "nameplane vip explain" foretells with what becomes of a thousand connections.
func TestExplain(t *testing.T) {
	peer.E2E(t)
	w := theWorld(t)
	s := newSubject(t, w, options{mode: nftables}).start(t)
	for _, f := range []family{v4, v6} {
		e := newExam(w, nftables, s.folder).in(f)
		e.serial.Store(int32(f) * 100)
		plain := e.service(tcp(80, 8080)).to(append(e.up(e.a, e.b, e.remote), e.down(e.c)...)...).publish(t)
		ending := e.service(tcp(80, 8080)).to(append(e.ending(e.a), e.down(e.c)...)...).publish(t)
		empty := e.service(tcp(80, 8080)).publish(t)
		local := e.service(tcp(80, 8080)).to(e.up(e.remote)...)
		policy := corev1.ServiceInternalTrafficPolicyLocal
		local.Spec.InternalTrafficPolicy = &policy
		local.publish(t)
		outside, number := e.nodePortService()
		outside.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		outside.to(e.up(e.a, e.c, e.remote)...).publish(t)
		e.soon(t, func() error { return e.client.ask(t, "tcp", outside.vip(0), short).one() })

		for _, test := range []struct {
			name   string
			client *host
			target netip.AddrPort
		}{
			{name: "from a pod", client: e.client, target: plain.vip(0)},
			{name: "from the node", client: e.node, target: plain.vip(0)},
			{name: "from outside", client: e.ext, target: plain.vip(0)},
			{name: "from a backend", client: e.a, target: plain.vip(0)},
			{name: "terminating", client: e.client, target: ending.vip(0)},
			{name: "no endpoints", client: e.client, target: empty.vip(0)},
			{name: "policy Local", client: e.client, target: local.vip(0)},
			{name: "wrong port", client: e.client, target: netip.AddrPortFrom(plain.vip(0).Addr(), 81)},
			{name: "nobody's", client: e.client, target: e.unallocated(80)},
			{name: "node port from outside", client: e.ext, target: e.node.at(f, number)},
			{name: "node port from a pod", client: e.client, target: e.node.at(f, number)},
			{name: "node port from the node", client: e.node, target: e.node.at(f, number)},
		} {
			t.Run(test.name+"/"+f.String(), func(t *testing.T) {
				said := s.explain(t, w, test.target, test.client.addr(f))
				if err := said.holds(t, test.client, test.target); err != nil {
					t.Errorf("%v; it says\n%s", err, said.text)
				}
			})
		}
	}
}

// explained is what the command says.
type explained struct {
	text    string
	verdict string             // forward, reject, drop
	shares  map[string]float64 // by host
	masked  bool               // the client's address is replaced
}

func (s *subject) explain(t *testing.T, w *world, target netip.AddrPort, client netip.Addr) explained {
	t.Helper()
	text, err := s.command(t, "explain", "-conf", s.corefile(), "-from", client.String(), target.String()+"/tcp")
	if exit := (*exec.ExitError)(nil); err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 3) {
		t.Fatal(err)
	}
	x := explained{text: text, shares: map[string]float64{}}
	headline, _, _ := strings.Cut(text, "\n")
	_, outcome, _ := strings.Cut(headline, "): ")
	x.verdict, _, _ = strings.Cut(outcome, " ")
	x.masked = strings.Contains(text, "masqueraded: the endpoint sees this node's address")
	hosts := map[string]string{}
	for _, h := range []*host{w.a, w.b, w.c, w.remote} {
		for _, f := range []family{v4, v6} {
			hosts[h.at(f, 8080).String()] = h.name
		}
	}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 || hosts[words[1]] == "" || !strings.HasSuffix(words[0], "%") {
			continue
		}
		share, err := strconv.ParseFloat(strings.TrimSuffix(words[0], "%"), 64)
		if err != nil {
			t.Fatal(line, err)
		}
		x.shares[hosts[words[1]]] = share
	}
	return x
}

// holds compares it with what happens.
func (x explained) holds(t *testing.T, client *host, target netip.AddrPort) error {
	t.Helper()
	switch x.verdict {
	case "forward":
		answers := client.ask(t, "tcp", target, times(1000), workers(4))
		if len(answers.Failures) > 0 || len(answers.Names) != len(x.shares) {
			return fmt.Errorf("%s", answers)
		}
		if _, kept := answers.Peers[client.addr(familyOf(target)).String()]; kept == x.masked && client.name != "node" {
			return fmt.Errorf("%s, though masqueraded is %v", answers, x.masked)
		}
		return answers.spread(x.shares)
	case "reject":
		return client.ask(t, "tcp", target).failed("refused")
	case "drop":
		return client.ask(t, "tcp", target, short).failed("timeout")
	}
	return fmt.Errorf("verdict %q", x.verdict)
}

func familyOf(target netip.AddrPort) family {
	if target.Addr().Is4() {
		return v4
	}
	return v6
}
