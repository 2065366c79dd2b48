package netns

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/nameplane/nameplane/test/kube"
	"github.com/nameplane/nameplane/test/peer"
)

// TestAPIServer asks the core again where the objects come from a real API server, with its controllers. That both sources
// fill the store alike is the matter of package conformance.
func TestAPIServer(t *testing.T) {
	peer.E2E(t)
	w := theWorld(t)
	cluster := kube.Start(t, kube.Options{Controllers: true})
	from := newAPIServer(t, w, cluster)
	newSubject(t, w, options{mode: nftables, origin: "kubeconfig " + cluster.Kubeconfig()}).start(t)
	e := newExam(w, nftables, from)
	runCases(t, e, slices.DeleteFunc(cases(), func(c theCase) bool { return !c.core }))
	t.Run("a deployment is scaled", func(t *testing.T) { scaled(t, e, cluster) })
	t.Run("the API server is away", func(t *testing.T) { away(t, e, cluster) })
}

// webPod is a pod of the service web, in the place of which one of the world stands.
func webPod(h *host) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "exam", Name: h.name, Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{NodeName: nodeName, Containers: []corev1.Container{{Name: "web", Image: "web"}}},
		Status:     kube.Running(true, h.v4.String(), h.v6.String()),
	}
}

// scaled: the API server gives the addresses, and the controllers make the slices.
func scaled(t *testing.T, e *exam, cluster *kube.Cluster) {
	dual := corev1.IPFamilyPolicyRequireDualStack
	cluster.Load(t, webPod(e.a), webPod(e.b), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "exam", Name: "web"},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "web"}, IPFamilyPolicy: &dual,
			Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	})
	made, err := cluster.Client().CoreV1().Services("exam").Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil || len(made.Spec.ClusterIPs) != 2 {
		t.Fatal(made, err)
	}
	s := &service{Service: *made}
	s6 := &service{Service: *made}
	s6.Spec.ClusterIP = made.Spec.ClusterIPs[1]
	served := func(by ...string) func() error {
		return func() error {
			return first(e.client.ask(t, "tcp", s.vip(0), many).evenly(by...), e.client.ask(t, "tcp", s6.vip(0), many).evenly(by...))
		}
	}
	const patience = 10 * time.Second // the controllers take their time
	within(t, patience, served("a", "b"))
	remove := func(h *host) {
		now := int64(0)
		if err := cluster.Client().CoreV1().Pods("exam").Delete(t.Context(), h.name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
			t.Fatal(err)
		}
	}
	remove(e.b)
	within(t, patience, served("a"))
	cluster.Load(t, webPod(e.c))
	within(t, patience, served("a", "c"))
	cluster.PatchPodStatus(t, "exam", e.a.name, kube.Running(false, e.a.v4.String(), e.a.v6.String()))
	within(t, patience, served("c"))
	remove(e.a)
	remove(e.c)
	within(t, patience, func() error { return e.client.ask(t, "tcp", s.vip(0)).failed("refused") })
}

// away: without the API server everything stays as it was; when it is back, what changed is learnt.
func away(t *testing.T, e *exam, cluster *kube.Cluster) {
	s := e.service(tcp(80, 8080)).to(e.up(e.a, e.b)...).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), many).evenly("a", "b") })
	line := e.client.open(t, s.vip(0))
	cluster.KillAPIServer(t)
	wait := e.client.begin(t, s.vip(0), func(p *Probe) { p.Count, p.Workers, p.Pace = 400, 4, 20*time.Millisecond })
	err := wait().evenly("a", "b")
	cluster.StartAPIServer(t)
	s.to(e.up(e.c)...).publish(t)
	within(t, 30*time.Second, func() error {
		if err := e.client.ask(t, "tcp", s.vip(0), short).only("c"); err != nil {
			return fmt.Errorf("after the API server came back: %w", err)
		}
		return nil
	})
	if err := errors.Join(err, e.client.say(line)); err != nil {
		t.Error(err)
	}
}
