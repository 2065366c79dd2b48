package apiwatch

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kuberuntime "k8s.io/apimachinery/pkg/runtime"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/test/kube"
	"github.com/nameplane/nameplane/test/peer"
)

const (
	manyServices = 10_000
	perService   = 10
)

// The whole of a big cluster in memory, at the start and when all is listed again: half of what CoreDNS 1.15 needs for
// the same objects (197 MiB), and at a relist at most half more than before it. Pods of CoreDNS are killed by that
// (kubernetes issue 139117).
func TestMemoryOfABigCluster(t *testing.T) {
	peer.E2E(t)
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	dir := t.TempDir()
	t.Run("list and watch, as before Kubernetes 1.32", func(t *testing.T) {
		c := kube.Start(t, kube.Options{Dir: dir, FastServiceIPs: true})
		c.Load(t, bigCluster()...)
		examineMemory(t, c)
	})
	t.Run("watch list", func(t *testing.T) {
		examineMemory(t, kube.Start(t, kube.Options{Dir: dir}))
	})
	t.Run("virtual IPs, too", func(t *testing.T) {
		examineMemory(t, kube.Start(t, kube.Options{Dir: dir}), "forwarding")
	})
}

func examineMemory(t *testing.T, c *kube.Cluster, args ...string) {
	g, path := newGate(t, c)
	p := startProcess(t, append([]string{path}, args...)...)
	start := p.report(t, "collect")
	show(t, "start", start)
	objects := start.Status.Objects
	if objects[cluster.KindService] <= manyServices || objects[cluster.KindEndpointSlice] <= manyServices { // and default/kubernetes
		t.Fatalf("objects %v, want more than %d services and slices", objects, manyServices)
	}
	const mib = 1 << 20
	if start.Peak > 98*mib {
		t.Errorf("%d MiB at the start, want at most 98", start.Peak/mib)
	}

	g.shut()
	c.KillAPIServer(t)
	c.CompactEtcd(t)
	c.StartAPIServer(t)
	before := p.report(t, "")
	show(t, "before the relist", before)
	g.open(t)
	var after report
	eventually(t, 2*time.Minute, "a relist of services and slices", func() bool {
		<-time.After(50 * time.Millisecond)
		after = p.report(t, "")
		return after.Status.Relists >= 3 && after.Status.Failure == ""
	})
	show(t, "relist", after)
	if after.Status.Objects != objects {
		t.Errorf("objects %v, before the relist %v", after.Status.Objects, objects)
	}
	if p.peak > start.Peak+start.Peak/2 {
		t.Errorf("the relist needs %d MiB, the start needed %d", p.peak/mib, start.Peak/mib)
	}
	t.Logf("highest peak %d MiB", p.peak/mib)
}

func show(t *testing.T, when string, r report) {
	const mib = 1 << 20
	t.Logf("%s: synced after %s, CPU %s; MiB: live %d, allocated in all %d, resident %d, peak %d; %s", when,
		r.Synced.Round(time.Millisecond), r.CPU.Round(time.Millisecond), r.Live/mib, r.Allocated/mib, r.Resident/mib, r.Peak/mib, r.Status)
}

func bigCluster() []kuberuntime.Object {
	var all []kuberuntime.Object
	const namespaces = 100
	for n := range namespaces {
		all = append(all, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("team-%d", n)}})
	}
	for n := range manyServices {
		namespace, name := fmt.Sprintf("team-%d", n%namespaces), fmt.Sprintf("service-%d", n)
		service := newService(name)
		service.Namespace, service.Labels = namespace, map[string]string{"app": name}
		slice := bigSlice(namespace, name, n)
		all = append(all, service, slice)
	}
	return all
}

// bigSlice is as the endpoint slice controller makes them: with node, zone, and pod of each endpoint.
func bigSlice(namespace, service string, n int) *discoveryv1.EndpointSlice {
	slice := newSlice(service)
	slice.Namespace = namespace
	for e := range perService {
		node, zone, yes, no := fmt.Sprintf("node-%d", (n+e)%1000), "zone-"+string(rune('a'+e%3)), true, false
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses:  []string{fmt.Sprintf("10.%d.%d.%d", 128+n>>10, n>>2&255, n&3<<6+e)},
			Conditions: discoveryv1.EndpointConditions{Ready: &yes, Serving: &yes, Terminating: &no},
			NodeName:   &node, Zone: &zone,
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: namespace, Name: fmt.Sprintf("%s-%d", service, e), UID: "5d3e3a1c-2f5c-4c39-9f0e-1d1f0a3a7b11"},
		})
	}
	return slice
}

// report is a line of the process, see follow/main.go.
type report struct {
	Synced, CPU                     time.Duration
	Status                          cluster.Status
	Live, Allocated, Resident, Peak uint64
}

// process is a running follow.
type process struct {
	in   io.Writer
	out  *json.Decoder
	peak uint64 // highest of all reports
}

func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "follow")
	if out, err := exec.Command("go", "build", "-o", bin, "./follow").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(bin, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("follow: %v", err)
		}
	})
	return &process{in: in, out: json.NewDecoder(bufio.NewReader(out))}
}

// report asks for a line; how is "collect" or empty.
func (p *process) report(t *testing.T, how string) (r report) {
	t.Helper()
	if _, err := fmt.Fprintln(p.in, how); err != nil {
		t.Fatal(err)
	}
	if err := p.out.Decode(&r); err != nil {
		t.Fatal(err)
	}
	p.peak = max(p.peak, r.Peak)
	return r
}
