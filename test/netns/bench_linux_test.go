package netns

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/nameplane/nameplane/test/kube"
	"github.com/nameplane/nameplane/test/peer"
)

const (
	endpointsEach = 4
	changes       = 20
	nodeAddress   = "192.168.70.1"
)

// forwarder is a program that is measured. What it prints of itself is kube-proxy's metrics, which ours has too.
type forwarder struct {
	name    string
	metrics string // URL
	table   string // its nft tables, of both families
	bin     string
	args    func(dir string) ([]string, error)
}

// cost is what one forwarder needed.
type cost struct {
	ready     time.Duration // from the start of the process until the last service was reachable
	sync      time.Duration // of it in its own synchronisation of rules
	cpu       time.Duration // of the process and of the nft it runs, until then
	resident  int           // KiB
	change    time.Duration // median: from the API server's answer until one service's new endpoint was reachable
	perChange time.Duration // its own synchronisation, for one change
}

// BenchmarkForwarding prints what it costs to make many services with four endpoints each reachable, and then to change
// one, beside kube-proxy in nftables mode on the same objects of the same API server.
func BenchmarkForwarding(b *testing.B) {
	need(b)
	peer.E2E(b)
	table := []string{fmt.Sprintf("%-10s %-10s %10s %10s %10s %12s %12s %14s", "services", "forwarder", "reachable", "syncing", "CPU", "resident MiB", "one change", "of it syncing")}
	for _, services := range []int{1_000, 10_000} {
		costs := measureForwarders(b, services)
		for _, name := range []string{"kube-proxy", "nameplane"} {
			c := costs[name]
			table = append(table, fmt.Sprintf("%-10d %-10s %10s %10s %10s %12d %12s %14s", services, name, c.ready.Round(10*time.Millisecond),
				c.sync.Round(10*time.Millisecond), c.cpu.Round(10*time.Millisecond), c.resident/1024, c.change.Round(100*time.Microsecond), c.perChange.Round(100*time.Microsecond)))
		}
		ours, theirs := costs["nameplane"], costs["kube-proxy"]
		b.ReportMetric(theirs.sync.Seconds()/ours.sync.Seconds(), fmt.Sprintf("load-ratio-%d", services))
		b.ReportMetric(theirs.perChange.Seconds()/ours.perChange.Seconds(), fmt.Sprintf("change-ratio-%d", services))
	}
	b.Log("\n" + strings.Join(table, "\n"))
}

func measureForwarders(b *testing.B, services int) map[string]cost {
	b.Helper()
	theWorld(b).node.feed(b, lines(
		"address replace "+nodeAddress+"/32 dev lo",
		"route replace local 10.128.0.0/9 dev lo", // every endpoint is this machine
	), "ip", "-batch", "-")
	listener, err := net.Listen("tcp4", "0.0.0.0:8080")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	go accept(listener)
	cluster := kube.Start(b, kube.Options{FastServiceIPs: true})
	cluster.Load(b, forwardedObjects(services)...)
	costs := map[string]cost{}
	for _, f := range forwarders(b, cluster) {
		costs[f.name] = f.measure(b, cluster, services)
	}
	return costs
}

func accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		conn.Close()
	}
}

func forwarders(b *testing.B, cluster *kube.Cluster) []*forwarder {
	b.Helper()
	return []*forwarder{
		{
			name: "kube-proxy", metrics: "http://127.0.0.1:10249/metrics", table: "kube-proxy", bin: filepath.Join(peer.ControlPlane(b), "kube-proxy"),
			args: func(string) ([]string, error) {
				return []string{
					"--kubeconfig=" + cluster.Kubeconfig(), "--proxy-mode=nftables", "--hostname-override=" + nodeName,
					"--cluster-cidr=10.128.0.0/9", "--metrics-bind-address=127.0.0.1:10249", "--conntrack-max-per-core=0",
				}, nil
			},
		},
		{
			name: "nameplane", metrics: "http://127.0.0.1:9153/metrics", table: "nameplane", bin: peer.Nameplane(b),
			args: func(dir string) ([]string, error) {
				corefile := filepath.Join(dir, "Corefile")
				return []string{"-conf", corefile}, os.WriteFile(corefile, []byte(fmt.Sprintf(`.:1053 {
    bind 127.0.0.1
    prometheus 127.0.0.1:9153
    vip {
        kubeconfig %s
        node %s
        services all
        service_cidr 10.96.0.0/12
        pod_cidr 10.128.0.0/9
    }
}
`, cluster.Kubeconfig(), nodeName)), 0o644)
			},
		},
	}
}

// measure starts the forwarder, waits until all is reachable, changes some services, and takes it away again.
func (f *forwarder) measure(b *testing.B, cluster *kube.Cluster, services int) (c cost) {
	b.Helper()
	dir := b.TempDir()
	args, err := f.args(dir)
	if err != nil {
		b.Fatal(err)
	}
	begin := time.Now()
	p, err := peer.Start(dir, f.bin, args...)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := p.Kill(); err != nil {
			b.Error(err)
		}
		f.cleanUp(b)
	}()
	first, last := virtualIP(0), virtualIP(services-1)
	if err := p.Await(b.Context(), 5*time.Minute, func(context.Context) error { return errFirst(connect(first), connect(last)) }); err != nil {
		b.Fatal(err)
	}
	c.ready = time.Since(begin)
	await(b, p, func() bool { return f.synced(b) > 0 }) // it counts when both families are done
	own, children, err := p.CPU()
	if err != nil {
		b.Fatal(err)
	}
	c.cpu = own.User + own.System + children.User + children.System
	if c.resident, _, err = p.Memory(); err != nil {
		b.Fatal(err)
	}
	before := f.synced(b)
	c.sync = before
	var took []time.Duration
	for i := range changes {
		took = append(took, f.change(b, p, cluster, i))
	}
	slices.Sort(took)
	c.change = took[len(took)/2]
	c.perChange = (f.synced(b) - before) / (2 * changes)
	return c
}

// change takes all endpoints of a service away and gives them back, and returns how long the second one took.
func (f *forwarder) change(b *testing.B, p *peer.Process, cluster *kube.Cluster, i int) time.Duration {
	b.Helper()
	slicesOf := cluster.Client().DiscoveryV1().EndpointSlices("bench")
	write := func(endpoints int) time.Time {
		if _, err := slicesOf.Update(b.Context(), forwardedSlice(i, endpoints), metav1.UpdateOptions{}); err != nil {
			b.Fatal(err)
		}
		return time.Now()
	}
	write(0)
	await(b, p, func() bool { return connect(virtualIP(i)) != nil })
	begin := write(endpointsEach)
	await(b, p, func() bool { return connect(virtualIP(i)) == nil })
	return time.Since(begin)
}

func await(b *testing.B, p *peer.Process, done func() bool) {
	b.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); <-time.After(500 * time.Microsecond) {
		if time.Now().After(deadline) {
			b.Fatalf("a change of one service was not to be seen within a minute: %s", p.Tail(10))
		}
	}
}

// synced is the time that the forwarder says it spent on rules, in both families; 0 before it was done once.
func (f *forwarder) synced(b *testing.B) (sum time.Duration) {
	b.Helper()
	reply, err := http.Get(f.metrics)
	if err != nil {
		b.Fatal(err)
	}
	defer reply.Body.Close()
	for text := bufio.NewScanner(reply.Body); text.Scan(); {
		name, value, _ := strings.Cut(text.Text(), " ")
		if strings.HasPrefix(name, "kubeproxy_sync_proxy_rules_duration_seconds_sum") {
			seconds, err := strconv.ParseFloat(value, 64)
			if err != nil {
				b.Fatalf("%s: %v", text.Text(), err)
			}
			sum += time.Duration(seconds * float64(time.Second))
		}
	}
	return sum
}

func (f *forwarder) cleanUp(b *testing.B) {
	b.Helper()
	for _, family := range []string{"ip", "ip6"} {
		if err := theWorld(b).node.call("Run", Command{Args: []string{"nft", "delete", "table", family, f.table}}, new(string)); err != nil {
			b.Logf("%s %s: %v", family, f.table, err) // one family may have nothing
		}
	}
}

func errFirst(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// connect dials port 80 of a virtual IP from the node.
func connect(addr netip.Addr) error {
	conn, err := net.DialTimeout("tcp4", netip.AddrPortFrom(addr, 80).String(), 200*time.Millisecond)
	if err != nil {
		return err
	}
	return conn.Close()
}

func virtualIP(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 100, byte(i >> 8), byte(i)}) }

// forwardedObjects are a node, and services with their endpoints.
func forwardedObjects(services int) []runtime.Object {
	all := []runtime.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "bench"}},
		&corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: nodeName},
			Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: nodeAddress}}},
		},
	}
	for i := range services {
		all = append(all, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "bench", Name: fmt.Sprintf("svc-%d", i)},
			Spec:       corev1.ServiceSpec{ClusterIP: virtualIP(i).String(), Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
		}, forwardedSlice(i, endpointsEach))
	}
	return all
}

func forwardedSlice(i, endpoints int) *discoveryv1.EndpointSlice {
	name, port, tcp, ready, node := "http", int32(8080), corev1.ProtocolTCP, true, nodeName
	service := fmt.Sprintf("svc-%d", i)
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "bench", Name: service + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &tcp}},
		Endpoints:   []discoveryv1.Endpoint{},
	}
	for e := range endpoints {
		number := i*endpointsEach + e
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			Addresses:  []string{fmt.Sprintf("10.%d.%d.%d", 128+number>>16, number>>8&255, number&255)},
			Conditions: discoveryv1.EndpointConditions{Ready: &ready},
			NodeName:   &node,
		})
	}
	return s
}
