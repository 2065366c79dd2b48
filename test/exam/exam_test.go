package exam

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
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
	"github.com/nameplane/nameplane/test/world"
)

const (
	worlds     = 2
	perSitting = 6000 // questions
	// passing is the time until everything is asked again where there is a cache: TTLs have to count down.
	passing = 1300 * time.Millisecond
)

// room is where exams are sat: a cluster, an upstream and the binaries.
type room struct {
	seed               uint64
	cluster            *kube.Cluster
	kubeconfig         string
	upstream           string
	coredns, nameplane string // binaries
}

func newRoom(t *testing.T, seed uint64) *room {
	t.Helper()
	r := &room{seed: seed, coredns: peer.CoreDNS(t), nameplane: peer.Nameplane(t), upstream: world.ServeUpstream(t)}
	r.cluster = kube.Start(t, kube.Options{})
	r.kubeconfig = r.cluster.RestrictedKubeconfig(t)
	return r
}

// TestQuestions is the exam itself.
func TestQuestions(t *testing.T) {
	peer.E2E(t)
	seed := seed(t)
	for i := range uint64(worlds) {
		w := world.New(seed + i)
		r := newRoom(t, seed+i)
		r.cluster.Load(t, append(undisputed(w.Objects()), thisHost(t)...)...)
		facts, err := readFacts(t.Context(), r.cluster.Client())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range corefiles() {
			t.Run(fmt.Sprintf("%s-%d", c.name, seed+i), func(t *testing.T) {
				s := r.start(t, &c, facts)
				questions := slices.Concat(structural(c.zone), asWell(c.also), w.Questions(perSitting))
				if err := s.ask(questions); err != nil {
					t.Error(err)
				}
				if c.cached {
					<-time.After(passing)
					if err := s.ask(questions); err != nil {
						t.Error(err)
					}
				}
				if c.relayed { // it listens on two addresses
					if err := s.at(secondAddress).ask(questions[:1000]); err != nil {
						t.Error(err)
					}
				}
				t.Log(s.marks)
				if s.marks.mismatches() > 0 {
					t.Fail()
				}
			})
		}
	}
}

// secondAddress is what a server on a node listens on besides 127.0.0.1.
const secondAddress = "127.0.0.53"

// at is the sitting with the servers' other address.
func (s *sitting) at(address string) *sitting {
	other := *s
	for _, server := range []*server{&other.theirs, &other.ours} {
		_, port, _ := strings.Cut(server.address, ":")
		server.address = address + ":" + port
	}
	return &other
}

// undisputed leaves out what TestOwnWays is about: slices of host names, and pods whose name has a dot as the names
// of endpoints.
func undisputed(objects []runtime.Object) []runtime.Object {
	var kept []runtime.Object
	for _, o := range objects {
		slice, ok := o.(*discoveryv1.EndpointSlice)
		if !ok {
			kept = append(kept, o)
			continue
		}
		if slice.AddressType == discoveryv1.AddressTypeFQDN {
			continue
		}
		slice = slice.DeepCopy()
		for i := range slice.Endpoints {
			if ref := slice.Endpoints[i].TargetRef; ref != nil {
				ref.Name = strings.ReplaceAll(ref.Name, ".", "-")
			}
		}
		kept = append(kept, slice)
	}
	return kept
}

// seed is drawn unless the environment names one.
func seed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("NAMEPLANE_SEED")
	if text == "" {
		return uint64(rand.Uint32())
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("NAMEPLANE_SEED: %v", err)
	}
	return seed
}

// start runs both servers with a Corefile.
func (r *room) start(t *testing.T, c *corefile, f *facts) *sitting {
	t.Helper()
	s := &sitting{corefile: c, facts: f, marks: newMarks(r.seed)}
	behind := ""
	if c.relayed {
		behind = r.serve(t, r.coredns, &corefile{text: clusterDNS}, "").address
	}
	s.theirs = r.serve(t, r.coredns, c, behind)
	s.ours = r.serve(t, r.nameplane, c, behind)
	return s
}

// clusterDNS is what a server on a node asks for the cluster's names.
const clusterDNS = ". {\nbind 127.0.0.1\nkubernetes cluster.local in-addr.arpa ip6.arpa {\n" + source +
	"pods insecure\nfallthrough in-addr.arpa ip6.arpa\nttl 30\n}\nforward . {UPSTREAM}\n}\n"

// serve runs one server with a Corefile; behind is the address that {CLUSTER} stands for. The address to ask is that of
// the block with the port {OTHER}, if there is one.
func (r *room) serve(t *testing.T, bin string, c *corefile, behind string) server {
	t.Helper()
	ports, err := peer.FreePorts(4)
	if err != nil {
		t.Fatal(err)
	}
	at := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	dir := t.TempDir()
	values := map[string]string{
		"{KUBECONFIG}": "kubeconfig " + r.kubeconfig, "{UPSTREAM}": r.upstream, "{CLUSTER}": behind, "{FOLDER}": dir,
		":{PORT}": "", "{BIND}": "bind 127.0.0.1", "{ADDRESSES}": "127.0.0.1 " + secondAddress,
		"{HEALTH}": at(0), "{READY}": at(1), "{METRICS}": at(2), "{OTHER}": strconv.Itoa(ports[3]),
	}
	text := c.text
	for placeholder, value := range values {
		text = strings.ReplaceAll(text, placeholder, value)
	}
	if c.vendor != nil {
		c.vendor.Unpack(t, dir, values)
		text = c.vendor.Fill(values)
	}
	address, _ := peer.StartServer(t, bin, text)
	if strings.Contains(c.text, "{OTHER}") {
		address = at(3)
	}
	return server{address: address, ready: fmt.Sprintf("http://%s/ready", at(1))}
}

// thisHost makes this machine an endpoint of a service with a virtual IP and of one without: what a DNS server is in its
// cluster, from which its NS records follow. None where the machine has no address but loopback's.
func thisHost(t *testing.T) []runtime.Object {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	var endpoints []discoveryv1.Endpoint
	for _, a := range addrs {
		if ip := a.(*net.IPNet).IP; ip.To4() != nil && !ip.IsLoopback() {
			endpoints = append(endpoints, discoveryv1.Endpoint{Addresses: []string{ip.String()}})
		}
	}
	if len(endpoints) == 0 {
		return nil
	}
	var objects []runtime.Object
	for name, ip := range map[string]string{"name-server": "", "name-server-headless": corev1.ClusterIPNone} {
		meta := metav1.ObjectMeta{Namespace: "kube-system", Name: name}
		objects = append(objects, &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{ClusterIP: ip, Ports: []corev1.ServicePort{{Port: 53}}}})
		meta.Labels = map[string]string{discoveryv1.LabelServiceName: name}
		objects = append(objects, &discoveryv1.EndpointSlice{ObjectMeta: meta, AddressType: discoveryv1.AddressTypeIPv4, Endpoints: endpoints})
	}
	return objects
}
