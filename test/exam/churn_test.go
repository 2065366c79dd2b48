package exam

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"github.com/nameplane/nameplane/test/peer"
	"github.com/nameplane/nameplane/test/world"
)

const (
	rounds       = 40 // of changes that are timed
	visibleAfter = 100 * time.Millisecond
)

// churn is a namespace in which objects come and go, watched beside the two servers.
type churn struct {
	client  kubernetes.Interface
	sitting *sitting
	events  chan time.Time // when our own watch saw each change
	delays  map[string][2][]time.Duration
}

// TestChurn times how soon after the API server's event a change is in the answers: the event's time is that of a watch
// of the test's own, in the same machine.
func TestChurn(t *testing.T) {
	peer.E2E(t)
	r := newRoom(t, 0)
	c := corefile{name: "churn", text: ". {\nbind 127.0.0.1\nkubernetes cluster.local in-addr.arpa {\n" + source + "}\n}\n", zone: world.Zone}
	s := r.start(t, &c, nil)
	churn := &churn{client: r.cluster.Client(), sitting: s, events: make(chan time.Time, 1), delays: map[string][2][]time.Duration{}}
	services, err := churn.client.CoreV1().Services("default").Watch(t.Context(), metav1.ListOptions{LabelSelector: "churn"})
	if err != nil {
		t.Fatal(err)
	}
	defer services.Stop()
	slices, err := churn.client.DiscoveryV1().EndpointSlices("default").Watch(t.Context(), metav1.ListOptions{LabelSelector: "churn"})
	if err != nil {
		t.Fatal(err)
	}
	defer slices.Stop()
	go churn.watch(services)
	go churn.watch(slices)
	for i := range rounds {
		churn.round(t, fmt.Sprintf("churn-%d", i))
	}
	churn.report(t)
}

// watch notes when events arrive, until the watch is stopped.
func (c *churn) watch(w watch.Interface) {
	for range w.ResultChan() {
		c.events <- time.Now()
	}
}

// round makes a headless service with two endpoints, takes one away, and the service.
func (c *churn) round(t *testing.T, name string) {
	t.Helper()
	ctx, labels := t.Context(), map[string]string{"churn": "", discoveryv1.LabelServiceName: name}
	services, slices := c.client.CoreV1().Services("default"), c.client.DiscoveryV1().EndpointSlices("default")
	virtual := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name + "-ip", Labels: labels}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}
	headless := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone}}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.244.0.1"}}, {Addresses: []string{"10.244.0.2"}}},
	}
	c.step(t, "service made", name+"-ip", 1, func(ctx context.Context) error {
		_, err := services.Create(ctx, virtual, metav1.CreateOptions{})
		return err
	})
	c.step(t, "", name, 0, func(ctx context.Context) error {
		_, err := services.Create(ctx, headless, metav1.CreateOptions{})
		return err
	})
	c.step(t, "endpoints made", name, 2, func(ctx context.Context) (err error) {
		slice, err = slices.Create(ctx, slice, metav1.CreateOptions{})
		return err
	})
	slice.Endpoints = slice.Endpoints[:1]
	c.step(t, "endpoint deleted", name, 1, func(ctx context.Context) error {
		_, err := slices.Update(ctx, slice, metav1.UpdateOptions{})
		return err
	})
	c.step(t, "service deleted", name, 0, func(ctx context.Context) error {
		return services.Delete(ctx, name, metav1.DeleteOptions{})
	})
	if err := slices.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	<-c.events
}

// step makes a change and waits until both servers answer with so many addresses.
func (c *churn) step(t *testing.T, what, name string, addresses int, change func(context.Context) error) {
	t.Helper()
	question := new(dns.Msg).SetQuestion(name+".default.svc."+world.Zone, dns.TypeA)
	packet, err := question.Pack()
	if err != nil {
		t.Fatal(err)
	}
	seen := [2]chan time.Time{make(chan time.Time, 1), make(chan time.Time, 1)}
	begin := make(chan struct{})
	for i, server := range []server{c.sitting.theirs, c.sitting.ours} {
		go func() { seen[i] <- awaitAddresses(t.Context(), server.address, packet, addresses, begin) }()
	}
	if err := change(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(begin)
	event := <-c.events
	both := c.delays[what]
	for i := range both {
		at := <-seen[i]
		if at.IsZero() {
			t.Fatalf("%s %s: server %d does not answer with %d addresses", name, what, i, addresses)
		}
		both[i] = append(both[i], max(0, at.Sub(event)))
	}
	if what != "" {
		c.delays[what] = both
	}
}

// awaitAddresses asks again and again; the zero time after ten seconds without the answer. It does not mind the time
// before the change was made, when nothing can have changed.
func awaitAddresses(ctx context.Context, server string, packet []byte, addresses int, begin <-chan struct{}) time.Time {
	<-begin
	a := asker{server: server}
	defer a.close()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		reply, err := a.ask("udp", packet)
		m := new(dns.Msg)
		if err == nil && m.Unpack(reply) == nil && len(m.Answer) == addresses {
			return time.Now()
		}
		select {
		case <-ctx.Done():
			return time.Time{}
		case <-time.After(500 * time.Microsecond):
		}
	}
	return time.Time{}
}

func (c *churn) report(t *testing.T) {
	t.Helper()
	for what, both := range c.delays {
		for i, name := range []string{"coredns", "nameplane"} {
			slices.Sort(both[i])
			last := both[i][len(both[i])-1]
			t.Logf("%-16s %-9s p50 %8s, max %8s after the event", what, name, both[i][len(both[i])/2].Round(10*time.Microsecond), last.Round(10*time.Microsecond))
			if name == "nameplane" && last > visibleAfter {
				t.Errorf("%s: visible only after %s, want %s at most", what, last, visibleAfter)
			}
		}
	}
}

// TestConvergence changes a whole world under both servers' feet: afterwards they must agree again on everything.
func TestConvergence(t *testing.T) {
	peer.E2E(t)
	seed := seed(t)
	old, young := world.New(seed), world.New(seed+1)
	r := newRoom(t, seed)
	r.cluster.Load(t, undisputed(old.Objects())...)
	c := corefileOf("verified")
	s := r.start(t, &c, nil)
	empty(t, r.cluster.Client())
	r.cluster.Load(t, undisputed(young.Objects())...)
	facts, err := readFacts(t.Context(), r.cluster.Client())
	if err != nil {
		t.Fatal(err)
	}
	s.facts = facts
	questions := append(young.Questions(1500), old.Questions(1500)...)
	s.agree(t, questions, 10*time.Second)
}

// agree asks until there is no mismatch any more.
func (s *sitting) agree(t *testing.T, questions []world.Question, within time.Duration) {
	t.Helper()
	begin := time.Now()
	for {
		s.marks = newMarks(s.marks.seed)
		if err := s.ask(questions); err != nil {
			t.Fatal(err)
		}
		if s.marks.mismatches() == 0 {
			t.Logf("after %s: %s", time.Since(begin).Round(time.Millisecond), s.marks)
			return
		}
		if time.Since(begin) > within {
			t.Fatalf("no agreement after %s: %s", within, s.marks)
		}
	}
}

// empty deletes everything but namespaces.
func empty(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	ctx := t.Context()
	namespaces, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.CoreV1().Nodes().DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	now := int64(0)
	for _, ns := range namespaces.Items {
		err := client.DiscoveryV1().EndpointSlices(ns.Name).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "tier"})
		if err != nil {
			t.Fatal(err)
		}
		if err := client.CoreV1().Pods(ns.Name).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
		services, err := client.CoreV1().Services(ns.Name).List(ctx, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, service := range services.Items {
			if service.Name == "kubernetes" {
				continue
			}
			if err := client.CoreV1().Services(ns.Name).Delete(ctx, service.Name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
}
