package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/nameplane/nameplane/test/kube"
	"github.com/nameplane/nameplane/test/peer"
)

const (
	names   = 72 // services that are asked for
	rounds  = 4  // of each server and kind of question
	seconds = 3  // a round
)

// BenchmarkClusterNames prints CPU time per answered query of both servers and their ratio, for each kind of question,
// under kubeadm's Corefile, beside that of an echo, which is the part that no server can save.
func BenchmarkClusterNames(b *testing.B) {
	peer.E2E(b)
	cluster := kube.Start(b, kube.Options{})
	cluster.Load(b, objects(names, 2)...)
	all := contenders(b)
	for _, c := range all {
		c.start(b, kubeadm(cluster.Kubeconfig()))
	}
	all = append(all, startEcho(b))
	table := []string{"CPU-µs per answered query: median (least to greatest), of it in the program itself, without the kernel",
		fmt.Sprintf("%-21s %-30s %-27s %-27s %s", "question", all[0].name, all[1].name, all[2].name, "ratio, of the programs themselves")}
	for _, q := range questions() {
		file := filepath.Join(b.TempDir(), "questions")
		if err := os.WriteFile(file, []byte(strings.Join(q.lines, "\n")+"\n"), 0o644); err != nil {
			b.Fatal(err)
		}
		figures := alternate(b, all, file)
		ratio := figures[0].median / figures[1].median
		b.ReportMetric(ratio, strings.ReplaceAll(q.name, " ", "-")+"-ratio")
		table = append(table, fmt.Sprintf("%-21s %-30s %-27s %-27s %.1f, %.0f", q.name, figures[0], figures[1], figures[2], ratio, figures[0].user/figures[1].user))
	}
	b.Log("\n" + strings.Join(table, "\n"))
}

// alternate runs rounds in the order A B C C B A … and returns the CPU-µs per query of each contender.
func alternate(b *testing.B, all []*contender, file string) []spread {
	b.Helper()
	figures := make([][]round, len(all))
	for _, c := range all {
		c.drive(b, file, 1) // warm
	}
	for round := range rounds {
		for i := range all {
			which := i
			if round%2 == 1 {
				which = len(all) - 1 - i
			}
			r := all[which].drive(b, file, seconds)
			if r.lost*1000 > r.answered {
				b.Logf("%s: %d of %d queries lost", all[which].name, r.lost, r.answered)
			}
			figures[which] = append(figures[which], r)
		}
	}
	spreads := make([]spread, len(all))
	for i, f := range figures {
		spreads[i] = spreadOf(f)
	}
	return spreads
}

type corpus struct {
	name  string
	lines []string
}

// questions are the kinds of question that a cluster's clients ask most (search path of ndots:5 included).
func questions() []corpus {
	each := func(name, form string) corpus {
		c := corpus{name: name}
		for i := range names {
			c.lines = append(c.lines, fmt.Sprintf(form, i))
		}
		return c
	}
	return []corpus{
		each("A", "svc-%d.bench.svc.cluster.local A"),
		each("AAAA without", "svc-%d.bench.svc.cluster.local AAAA"),
		each("search path NXDOMAIN", "www%d.example.com.bench.svc.cluster.local A"),
		each("SRV", "_http._tcp.svc-%d.bench.svc.cluster.local SRV"),
		each("headless A", "headless-%d.bench.svc.cluster.local A"),
	}
}

// kubeadm is the Corefile that kubeadm installs, on a kubeconfig instead of the cluster's own service account, and on
// ports of loopback.
func kubeadm(kubeconfig string) func(ready int) string {
	return func(ready int) string {
		return fmt.Sprintf(`. {
    bind 127.0.0.1
    errors
    ready 127.0.0.1:%d
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        kubeconfig %s
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    prometheus 127.0.0.1:0
    forward . 127.0.0.1:9 {
        max_concurrent 1000
    }
    cache 30 {
        disable success cluster.local
        disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
`, ready, kubeconfig)
	}
}

// objects are n services with a virtual IP and n headless ones, in namespace bench, with some endpoints each.
func objects(n, endpoints int) []runtime.Object {
	all := []runtime.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "bench"}}}
	for i := range n {
		all = append(all, service(fmt.Sprintf("svc-%d", i), ""), slice(fmt.Sprintf("svc-%d", i), i, endpoints))
		all = append(all, service(fmt.Sprintf("headless-%d", i), corev1.ClusterIPNone), slice(fmt.Sprintf("headless-%d", i), n+i, endpoints))
	}
	return all
}

func service(name, ip string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "bench", Name: name},
		Spec:       corev1.ServiceSpec{ClusterIP: ip, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	}
}

// slice holds the endpoints of service number i.
func slice(service string, i, endpoints int) *discoveryv1.EndpointSlice {
	name, port, tcp, ready := "http", int32(8080), corev1.ProtocolTCP, true
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "bench", Name: service + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &tcp}},
	}
	for e := range endpoints {
		number := i*endpoints + e
		pod, node := fmt.Sprintf("%s-%d", service, e), fmt.Sprintf("node-%d", number%100)
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			Addresses:  []string{fmt.Sprintf("10.%d.%d.%d", 128+number>>16, number>>8&255, number&255)},
			Conditions: discoveryv1.EndpointConditions{Ready: &ready},
			NodeName:   &node,
			TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: "bench", Name: pod},
		})
	}
	return s
}
