package bench

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/nameplane/nameplane/test/kube"
	"github.com/nameplane/nameplane/test/peer"
)

const (
	manyServices  = 10_000
	manyEndpoints = 100_000
	settle        = 10 * time.Second // after which a size counts as steady
)

// size is what a server needs for a large cluster.
type size struct {
	ready                       time.Duration
	steady, startPeak, listPeak int // KiB
	steadyAfter                 int // KiB, after the relist
}

// BenchmarkScale prints what each server needs for 10,000 services with 100,000 endpoints: time until it is ready,
// resident memory, and its peak at the start and when it lists anew after the API server's restart.
func BenchmarkScale(b *testing.B) {
	peer.E2E(b)
	cluster := kube.Start(b, kube.Options{FastServiceIPs: true})
	cluster.Load(b, manyObjects()...)
	table := []string{fmt.Sprintf("%-12s %10s %12s %12s %14s %14s", "server", "ready", "steady MiB", "start peak", "relist peak", "after relist")}
	sizes := map[string]size{}
	for _, c := range contenders(b) {
		c.start(b, kubeadm(cluster.Kubeconfig()))
		s := measure(b, c, cluster)
		sizes[c.name] = s
		table = append(table, fmt.Sprintf("%-12s %10s %12d %12d %14d %14d", c.name, s.ready.Round(time.Millisecond), s.steady/1024, s.startPeak/1024, s.listPeak/1024, s.steadyAfter/1024))
		if err := c.process.Kill(); err != nil {
			b.Fatal(err)
		}
	}
	ours, theirs := sizes["nameplane"], sizes["coredns"]
	b.ReportMetric(float64(theirs.steady)/float64(ours.steady), "memory-ratio")
	b.ReportMetric(float64(max(ours.startPeak, ours.listPeak))/float64(ours.steady), "peak-to-steady")
	b.Log("\n" + strings.Join(table, "\n"))
}

// manyObjects are services with ten endpoints each.
func manyObjects() []runtime.Object {
	all := []runtime.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "bench"}}}
	for i := range manyServices {
		name := fmt.Sprintf("svc-%d", i)
		all = append(all, service(name, ""), slice(name, i, manyEndpoints/manyServices))
	}
	return all
}

func measure(b *testing.B, c *contender, cluster *kube.Cluster) size {
	b.Helper()
	s := size{ready: c.took}
	wait(b, settle)
	s.steady, s.startPeak = resident(b, c.process)
	if err := c.process.ResetPeak(); err != nil {
		b.Fatal(err)
	}
	cluster.KillAPIServer(b)
	cluster.StartAPIServer(b)
	name := fmt.Sprintf("after-%s", c.name)
	cluster.Load(b, service(name, ""))
	await(b, c, name)
	wait(b, settle)
	s.steadyAfter, s.listPeak = resident(b, c.process)
	return s
}

func resident(b *testing.B, p *peer.Process) (now, peak int) {
	b.Helper()
	now, peak, err := p.Memory()
	if err != nil {
		b.Fatal(err)
	}
	return now, peak
}

// await polls until the server knows a service that was made after the restart: then it follows again.
func await(b *testing.B, c *contender, name string) {
	b.Helper()
	question := new(dns.Msg).SetQuestion(name+".bench.svc.cluster.local.", dns.TypeA)
	client := dns.Client{Timeout: time.Second}
	for deadline := time.Now().Add(2 * time.Minute); ; {
		reply, _, err := client.Exchange(question, net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)))
		if err == nil && len(reply.Answer) == 1 {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("%s does not follow the restarted API server: %v, %v", c.name, reply, err)
		}
		wait(b, 100*time.Millisecond)
	}
}

func wait(b *testing.B, d time.Duration) {
	b.Helper()
	select {
	case <-time.After(d):
	case <-b.Context().Done():
		b.Fatal(b.Context().Err())
	}
}
