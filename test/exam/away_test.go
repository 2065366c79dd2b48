package exam

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nameplane/nameplane/test/peer"
	"github.com/nameplane/nameplane/test/world"
)

// back is how soon Nameplane must follow an API server that is there again.
const back = 20 * time.Second

// away is the Corefile of tests in which the API server is not there.
func away() corefile {
	return corefile{
		name: "away", zone: world.Zone, reverse: []string{"in-addr.arpa.", "ip6.arpa."}, pods: "insecure",
		falls: []string{"in-addr.arpa.", "ip6.arpa."}, relays: true,
		text: `. {
	bind 127.0.0.1
	ready {READY}
	kubernetes cluster.local in-addr.arpa ip6.arpa {
		` + source + `
		startup_timeout 1s
		pods insecure
		fallthrough in-addr.arpa ip6.arpa
	}
	forward . {UPSTREAM}
}
`}
}

// TestAPIServerGoes: what was known stays known while the API server is away, and what it says when it is back counts.
func TestAPIServerGoes(t *testing.T) {
	peer.E2E(t)
	seed := seed(t)
	w := world.New(seed)
	r := newRoom(t, seed)
	r.cluster.Load(t, undisputed(w.Objects())...)
	facts, err := readFacts(t.Context(), r.cluster.Client())
	if err != nil {
		t.Fatal(err)
	}
	c := away()
	s := r.start(t, &c, facts)
	questions := append(structural(c.zone), w.Questions(1500)...)
	s.agree(t, questions, 0)
	r.cluster.KillAPIServer(t)
	s.agree(t, questions, 0)
	awaitReady(t, s.ours, http.StatusOK, 0)
	r.cluster.StartAPIServer(t)
	begin := time.Now()
	_, err = r.cluster.Client().CoreV1().Services("default").Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "afterwards"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	packet, err := new(dns.Msg).SetQuestion("afterwards.default.svc."+world.Zone, dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	now := make(chan struct{})
	close(now)
	at := awaitAddresses(t.Context(), s.ours.address, packet, 1, now)
	if at.IsZero() {
		t.Fatal("nameplane does not follow the API server that is there again")
	}
	t.Logf("nameplane follows %s after the API server is back", at.Sub(begin).Round(time.Millisecond))
	s.agree(t, questions, time.Minute) // CoreDNS takes longer
}

// TestAPIServerComesLate: both servers start without one. What they cannot know they must not deny (D7).
func TestAPIServerComesLate(t *testing.T) {
	peer.E2E(t)
	seed := seed(t)
	w := world.New(seed)
	r := newRoom(t, seed)
	r.cluster.Load(t, undisputed(w.Objects())...)
	facts, err := readFacts(t.Context(), r.cluster.Client())
	if err != nil {
		t.Fatal(err)
	}
	r.cluster.KillAPIServer(t)
	c := away()
	c.unsynced = true
	s := r.start(t, &c, facts)
	questions := append(structural(c.zone), w.Questions(1500)...)
	awaitReady(t, s.theirs, http.StatusServiceUnavailable, 0)
	awaitReady(t, s.ours, http.StatusServiceUnavailable, 0)
	s.agree(t, questions, 0)
	r.cluster.StartAPIServer(t)
	t.Logf("nameplane is ready %s after the API server", awaitReady(t, s.ours, http.StatusOK, back))
	t.Logf("coredns is ready %s later", awaitReady(t, s.theirs, http.StatusOK, time.Minute))
	c.unsynced = false
	s.agree(t, questions, 5*time.Second)
}

// awaitReady waits until /ready has the status, and returns how long that took.
func awaitReady(t *testing.T, s server, status int, within time.Duration) time.Duration {
	t.Helper()
	begin := time.Now()
	for {
		got, err := readiness(t.Context(), s.ready)
		if err == nil && strings.HasPrefix(got, fmt.Sprint(status)) {
			return time.Since(begin).Round(time.Millisecond)
		}
		if time.Since(begin) > within {
			t.Fatalf("%s: %q, %v; want %d within %s", s.ready, got, err, status, within)
		}
		select {
		case <-t.Context().Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// readiness is status and body of a server's /ready.
func readiness(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	return fmt.Sprintf("%d %s", reply.StatusCode, body), err
}
