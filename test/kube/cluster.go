// Package kube starts a real Kubernetes control plane on loopback for a test: etcd, kube-apiserver and, when asked for,
// kube-controller-manager, with TLS, RBAC, dual-stack service addresses and real service account tokens. A fake API
// server answers what its author thought of; the faults that matter to a DNS server (a killed or frozen API server, an
// expired watch, a relist of everything) need the real one.
//
// The programs are separate processes rather than the in-process server of Kubernetes' own tests, because a process can
// be killed and frozen, keeps its client-go away from ours, and leaves test binaries small.
//
// There are no kubelets: a Pod is created with a nodeName and its status is written by the test (see PatchPodStatus). The
// endpoint slice controller passes over Pods whose Node object does not exist, so that one must be loaded, too.
package kube

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/nameplane/nameplane/test/peer"
)

// ServiceRanges are the networks that ClusterIPs come from, the primary family first.
const ServiceRanges = "10.96.0.0/12,fd00:10:96::/112"

// Options say what Start brings up. The zero value is etcd and an API server in a folder that goes with the test.
type Options struct {
	// Dir is the data folder, made when it is missing; that of an earlier cluster is taken up as it was left, by a new
	// authority and on new ports. Empty means a new folder, removed when the test ends.
	Dir string
	// Controllers adds kube-controller-manager: endpoint slices from pods, service accounts, deletion of namespaces.
	Controllers bool
	// FastServiceIPs selects the service address allocator of Kubernetes 1.33. The newer one takes time in proportion
	// to the services there are, for each new one: 10,000 services load in half a minute instead of two.
	FastServiceIPs bool
}

// Cluster is a running control plane. Its methods are for one goroutine, except Client's result.
type Cluster struct {
	options   Options
	bin       string // folder of the binaries
	dir       string // folder of data, credentials and logs
	apiserver string // path of the API server's binary
	files     files

	etcdPort, serverPort      int
	etcd, server, controllers *peer.Process
	client                    kubernetes.Interface
}

// Start brings up a control plane and waits until it is ready; it ends with the test. When the test has failed, the end
// of every program's log is printed.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	bin, server, dir := peer.ControlPlane(t), peer.APIServer(t), o.Dir
	if other := peer.OtherKubernetes(); other != "" && o.Controllers {
		t.Skipf("of Kubernetes %s there is the API server only, without controllers", other)
	}
	if dir == "" {
		dir = t.TempDir()
	}
	// The programs run inside the folder, where a relative path would mean another one.
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		t.Fatalf("control plane: %v", err)
	}
	c := &Cluster{options: o, bin: bin, apiserver: server, dir: dir, files: newFiles(dir)}
	t.Cleanup(func() { c.close(t) })
	if err := peer.RetryPorts(func() error { return errors.Join(c.killAll(), c.launch(t.Context())) }); err != nil {
		t.Fatalf("control plane: %v", err)
	}
	return c
}

// Client returns a client that may do everything and has no rate limit.
func (c *Cluster) Client() kubernetes.Interface { return c.client }

// Dir is the data folder, which also holds each program's log as NAME.log.
func (c *Cluster) Dir() string { return c.dir }

// KillAPIServer ends the API server as a crash does: open watches break off, its port refuses.
func (c *Cluster) KillAPIServer(t testing.TB) {
	t.Helper()
	if err := c.server.Kill(); err != nil {
		t.Fatal(err)
	}
}

// FreezeAPIServer stops the API server where it stands: connections stay open and nothing is answered on them, as with
// a machine that swaps or a network that swallows packets.
func (c *Cluster) FreezeAPIServer(t testing.TB) {
	t.Helper()
	if err := c.server.Freeze(); err != nil {
		t.Fatal(err)
	}
}

// ThawAPIServer lets a frozen API server go on.
func (c *Cluster) ThawAPIServer(t testing.TB) {
	t.Helper()
	if err := c.server.Thaw(); err != nil {
		t.Fatal(err)
	}
}

// StartAPIServer starts the API server again after KillAPIServer, on the same port and data, and waits until it is
// ready.
func (c *Cluster) StartAPIServer(t testing.TB) {
	t.Helper()
	select {
	case <-c.server.Done():
	default:
		t.Fatal("the API server is already running")
	}
	if err := c.startServer(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (c *Cluster) url() string { return fmt.Sprintf("https://127.0.0.1:%d", c.serverPort) }

// launch chooses ports and starts everything on them.
func (c *Cluster) launch(ctx context.Context) error {
	ports, err := peer.FreePorts(2)
	if err != nil {
		return err
	}
	c.etcdPort, c.serverPort = ports[0], ports[1]
	if err := writeCredentials(c.files, c.url()); err != nil {
		return err
	}
	if c.client, err = newClient(c.files.admin); err != nil {
		return err
	}
	if err := c.startEtcd(ctx); err != nil {
		return err
	}
	if err := c.startServer(ctx); err != nil {
		return err
	}
	if !c.options.Controllers {
		return nil
	}
	return c.startControllers(ctx)
}

func (c *Cluster) startServer(ctx context.Context) (err error) {
	args := []string{
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", c.etcdPort),
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", c.serverPort),
		// The server refuses to advertise loopback; this is a documentation address (RFC 5737), so that the endpoint of
		// default/kubernetes leads nowhere.
		"--advertise-address=192.0.2.1",
		"--tls-cert-file=" + c.files.serverCert,
		"--tls-private-key-file=" + c.files.serverKey,
		"--client-ca-file=" + c.files.ca,
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + c.files.tokenKey,
		"--service-account-signing-key-file=" + c.files.tokenKey,
		"--authorization-mode=RBAC",
		"--service-cluster-ip-range=" + ServiceRanges,
		"--allow-privileged=true",
		// Else a Pod could be created only after the controllers had made its namespace's default account.
		"--disable-admission-plugins=ServiceAccount",
	}
	if c.options.FastServiceIPs && peer.OtherKubernetes() == "" { // older servers have no other allocator
		args = append(args, "--emulated-version=1.33", "--feature-gates=MultiCIDRServiceAllocator=false")
	}
	if c.server, err = peer.Start(c.dir, c.apiserver, args...); err != nil {
		return err
	}
	return c.server.Await(ctx, time.Minute, func(ctx context.Context) error {
		return c.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
}

// startControllers waits for the default namespace's account: by then the controllers run.
func (c *Cluster) startControllers(ctx context.Context) (err error) {
	c.controllers, err = peer.Start(c.dir, filepath.Join(c.bin, "kube-controller-manager"),
		"--kubeconfig="+c.files.admin,
		"--use-service-account-credentials=true",
		"--service-account-private-key-file="+c.files.tokenKey,
		"--root-ca-file="+c.files.ca,
		"--leader-elect=false",
		"--secure-port=0",
		"--kube-api-qps=1000", "--kube-api-burst=2000",
		// Without kubelets these would evict and collect every Pod.
		"--controllers=*,-node-lifecycle-controller,-taint-eviction-controller,-pod-garbage-collector-controller",
	)
	if err != nil {
		return err
	}
	return c.controllers.Await(ctx, time.Minute, func(ctx context.Context) error {
		_, err := c.client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

func (c *Cluster) close(t testing.TB) {
	if t.Failed() {
		for _, p := range c.processes() {
			t.Logf("%s: %s", p.Log(), p.Tail(30))
		}
	}
	if err := c.killAll(); err != nil {
		t.Error(err)
	}
}

// processes lists those that were started, in the order in which to end them.
func (c *Cluster) processes() []*peer.Process {
	var started []*peer.Process
	for _, p := range []*peer.Process{c.controllers, c.server, c.etcd} {
		if p != nil {
			started = append(started, p)
		}
	}
	return started
}

func (c *Cluster) killAll() error {
	var errs []error
	for _, p := range c.processes() {
		errs = append(errs, p.Kill())
	}
	return errors.Join(errs...)
}
