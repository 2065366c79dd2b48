package netns

import (
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
)

func udpCases() []theCase {
	return []theCase{
		{name: "UDP flow: the pod is replaced", run: udpSwap, core: true},
		{name: "UDP flow: no endpoints for a while", run: udpToZero, gaps: gaps{kubeProxy: "the last flow survives its endpoint (kubernetes issue 139628)"}},
		{name: "UDP flow: another target port", run: udpTargetPort},
		{name: "UDP flow: the pod gets ready", run: udpGetsReady},
		{name: "UDP flow: the service comes late", run: udpLateService},
		{name: "UDP flow: goes on while its pod serves", run: udpKept},
	}
}

// A client that keeps its port, as many resolvers do, is one flow to the kernel: it must not be led for ever to where its
// first datagram went.
const flowPort = 7000

// flow asks from one local port.
func (e *exam) flow(t *testing.T, s *service) *Tally {
	t.Helper()
	return e.client.ask(t, "udp", s.vip(0), short, e.port(s))
}

func (e *exam) port(s *service) func(*Probe) { return from(flowPort + int(s.vip(0).Addr().As16()[15])) }

func udpSwap(t *testing.T, e *exam) {
	s := e.service(udp(53, 8080)).to(e.up(e.a)...).publish(t)
	e.soon(t, func() error { return e.flow(t, s).only("a") })
	s.to(e.up(e.b)...).publish(t)
	e.soon(t, func() error { return e.flow(t, s).only("b") })
	// The new one joins before the old one goes, as in a rollout.
	s.to(append(e.up(e.c), e.ending(e.b)...)...).publish(t)
	s.to(e.up(e.c)...).publish(t)
	e.soon(t, func() error { return e.flow(t, s).only("c") })
}

func udpToZero(t *testing.T, e *exam) {
	s := e.service(udp(53, 8080)).to(e.up(e.a)...).publish(t)
	e.soon(t, func() error { return e.flow(t, s).only("a") })
	s.to().publish(t)
	e.soon(t, func() error { return e.flow(t, s).failed("refused") })
	s.to(e.up(e.b)...).publish(t)
	e.soon(t, func() error { return e.flow(t, s).only("b") })
}

func udpTargetPort(t *testing.T, e *exam) {
	s := e.service(udp(53, 8080)).to(e.up(e.a)...).publish(t)
	e.soon(t, func() error { return e.flow(t, s).only("a") })
	s.slices = nil
	s.also(8081, e.up(e.a)...).publish(t)
	e.soon(t, func() error { return e.flow(t, s).only("a:8081") })
}

func udpGetsReady(t *testing.T, e *exam) {
	s := e.service(udp(53, 8080)).to(e.down(e.a)...).publish(t)
	e.soon(t, func() error { return e.flow(t, s).failed("refused") })
	s.to(e.up(e.a)...).publish(t)
	e.soon(t, func() error { return e.flow(t, s).only("a") })
}

func udpLateService(t *testing.T, e *exam) {
	s := e.service(udp(53, 8080)).to(e.up(e.a)...)
	if err := e.flow(t, s).nobody(); err != nil {
		t.Fatal(err)
	}
	s.publish(t)
	e.soon(t, func() error { return e.flow(t, s).only("a") })
}

// udpKept: a flow stays with its pod while that serves, whatever else changes. This client waits for its answers: one that
// gave up would tell by ICMP that the flow is over.
func udpKept(t *testing.T, e *exam) {
	s := e.service(udp(53, 8080)).to(e.up(e.a)...).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "udp", s.vip(0), short).only("a") })
	flow := func() error { return e.client.ask(t, "udp", s.vip(0), e.port(s)).only("a") }
	if err := flow(); err != nil {
		t.Fatal(err)
	}
	for _, backends := range [][]discoveryv1.Endpoint{
		e.up(e.a, e.b), e.up(e.a, e.b, e.c), append(e.ending(e.a), e.up(e.b)...),
	} {
		s.to(backends...).publish(t)
		e.soon(t, func() error { return e.client.ask(t, "udp", s.vip(0), many).somebody("b") })
		if err := flow(); err != nil {
			t.Error(err)
		}
	}
}
