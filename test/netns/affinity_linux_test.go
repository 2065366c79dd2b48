package netns

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func affinityCases() []theCase {
	return []theCase{
		{name: "affinity: sticks, moves on death, is taken off", run: affinitySticks},
		{name: "affinity: expires, unless it is refreshed", run: affinityExpires},
	}
}

func sticky(s *service, seconds int32) {
	s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	s.Spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &seconds}}
}

func affinitySticks(t *testing.T, e *exam) {
	s := e.service(tcp(80, 8080))
	sticky(s, 600)
	s.to(e.up(e.a, e.b, e.c)...).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), many).one() })
	all := map[string]*host{"a": e.a, "b": e.b, "c": e.c}
	chosen := e.client.ask(t, "tcp", s.vip(0)).name()
	delete(all, chosen)
	var left []*host
	for _, h := range all {
		left = append(left, h)
	}
	s.to(e.up(left...)...).publish(t)
	e.soon(t, func() error {
		answers := e.client.ask(t, "tcp", s.vip(0), times(30))
		if answers.name() == chosen {
			return errors.New("it is led to the backend that is gone")
		}
		return answers.one()
	})
	s.Spec.SessionAffinity, s.Spec.SessionAffinityConfig = corev1.ServiceAffinityNone, nil
	s.publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), many).evenly(hostNames(left)...) })
	sticky(s, 600)
	s.publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), many).one() })
}

func affinityExpires(t *testing.T, e *exam) {
	s := e.service(tcp(80, 8080))
	sticky(s, 2)
	s.to(e.up(e.a, e.b, e.c)...).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), times(30)).one() })
	chosen := e.client.ask(t, "tcp", s.vip(0)).name()
	for range 8 { // together longer than it lasts without them
		pause(t, 500*time.Millisecond)
		if err := e.client.ask(t, "tcp", s.vip(0)).only(chosen); err != nil {
			t.Fatal(err)
		}
	}
	// Each time that it has expired another one is drawn; the same one 15 times in a row is not chance.
	for range 15 {
		pause(t, 2500*time.Millisecond)
		if e.client.ask(t, "tcp", s.vip(0)).name() != chosen {
			return
		}
	}
	t.Errorf("%s is chosen again and again, though the affinity has expired", chosen)
}
