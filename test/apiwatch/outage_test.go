package apiwatch

import (
	"io"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/test/kube"
	"github.com/nameplane/nameplane/test/peer"
)

// A watch that cannot be resumed (410 Gone) is replaced by a list, which also finds what was deleted.
func TestExpiredWatchIsListedAgain(t *testing.T) {
	peer.E2E(t)
	t.Parallel()
	for _, tt := range []struct {
		name    string
		options kube.Options
	}{
		{name: "watch list", options: kube.Options{}},
		{name: "list and watch, as before Kubernetes 1.32", options: kube.Options{FastServiceIPs: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := kube.Start(t, tt.options)
			g, path := newGate(t, c)
			c.Load(t, newService("old"), newSlice("old", "10.244.1.1"), newService("stays"))
			f := follow(t, cluster.Origin{Kubeconfig: path}, cluster.Needs{Endpoints: true})
			eventually(t, 10*time.Second, "synced", f.store.Synced)

			g.shut()
			c.Load(t, newService("new"))
			for _, err := range []error{
				c.Client().CoreV1().Services("default").Delete(t.Context(), "old", metav1.DeleteOptions{}),
				c.Client().DiscoveryV1().EndpointSlices("default").Delete(t.Context(), "old-1", metav1.DeleteOptions{}),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			c.KillAPIServer(t)
			c.CompactEtcd(t)
			c.StartAPIServer(t)
			g.open(t)
			eventually(t, 60*time.Second, "the state after a new list", func() bool {
				return f.service("new") != nil && f.service("old") == nil && f.service("stays") != nil && f.store.Status().Failure == ""
			})
			addr, _ := cluster.ParseAddr("10.244.1.1")
			if holders := f.store.Holders(addr); holders.Next() != nil {
				t.Error("the address of a slice that went meanwhile is still known")
			}
			eventually(t, 5*time.Second, "relists in the status", func() bool { return f.store.Status().Relists > 0 })
		})
	}
}

// A server that keeps its connections and says nothing is found by pings.
func TestFrozenAPIServerIsNoticed(t *testing.T) {
	peer.E2E(t)
	t.Parallel()
	c := kube.Start(t, kube.Options{})
	f := follow(t, cluster.Origin{Kubeconfig: c.Kubeconfig()}, cluster.Needs{Endpoints: true})
	eventually(t, 10*time.Second, "synced", f.store.Synced)
	c.FreezeAPIServer(t)
	eventually(t, 60*time.Second, "a failure in the status", func() bool { return f.store.Status().Failure != "" })
	c.ThawAPIServer(t)
	c.Load(t, newService("after"))
	eventually(t, 60*time.Second, "the first change after it", func() bool { return f.service("after") != nil && f.store.Status().Failure == "" })
}

// gate is a way to the API server that can be shut: connections break off, its port refuses.
type gate struct {
	address, target string

	mu       sync.Mutex
	listener net.Listener        // guarded by mu
	conns    map[net.Conn]func() // guarded by mu
}

// newGate opens a gate, and returns the path of a kubeconfig that leads through it.
func newGate(t *testing.T, c *kube.Cluster) (g *gate, path string) {
	t.Helper()
	config, err := clientcmd.LoadFromFile(c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	entry := config.Clusters[config.Contexts[config.CurrentContext].Cluster]
	server, err := url.Parse(entry.Server)
	if err != nil {
		t.Fatal(err)
	}
	g = &gate{address: "127.0.0.1:0", target: server.Host, conns: map[net.Conn]func(){}}
	g.open(t)
	t.Cleanup(g.shut)
	entry.Server = "https://" + g.address
	path = filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return g, path
}

func (g *gate) open(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.address, g.listener = listener.Addr().String(), listener
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go g.pass(conn)
		}
	}()
}

func (g *gate) pass(from net.Conn) {
	to, err := net.Dial("tcp", g.target)
	if err != nil {
		from.Close()
		return
	}
	g.mu.Lock()
	g.conns[from] = func() { from.Close(); to.Close() }
	g.mu.Unlock()
	go io.Copy(to, from)
	io.Copy(from, to)
	from.Close()
	to.Close()
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listener.Close()
	for conn, end := range g.conns {
		end()
		delete(g.conns, conn)
	}
}
