package directives

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/nameplane/nameplane/test/kube"
	"github.com/nameplane/nameplane/test/peer"
)

// shared are ServiceImports: "NAME.NAMESPACE TYPE [IP…] [NAME/PROTOCOL/NUMBER…]".
func shared() []string {
	return []string{
		"web.shop ClusterSetIP 10.112.0.1 http/TCP/80 https/TCP/443",
		"dual.shop ClusterSetIP 10.112.0.2 fd00:112::2 dns/UDP/53 dns-tcp/TCP/53",
		"unnamed.shop ClusterSetIP 10.112.0.3 /TCP/80",
		"pending.shop ClusterSetIP http/TCP/80",
		"db.shop Headless pg/TCP/5432",
		"six.shop Headless pg/TCP/5432",
		"portless.shop Headless pg/TCP/5432",
		"none.shop Headless pg/TCP/5432",
		"both.shop Headless pg/TCP/5432",
		"web.hidden ClusterSetIP 10.112.0.4 http/TCP/80",
	}
}

// importedSlice is an endpoint slice that a controller brings from another cluster.
type importedSlice struct {
	of, from  string   // "service.namespace", cluster
	local     string   // a service of this cluster that it belongs to as well
	ports     []string // "name/protocol/number"
	endpoints []string // "address", "address=hostname", "address~pod"; "!" in front of one that is not ready
}

func importedSlices() []importedSlice {
	pg := []string{"pg/TCP/5432", "metrics/TCP/9187"}
	return []importedSlice{
		{of: "db.shop", from: "east", ports: pg, endpoints: []string{"10.1.0.1=db-0", "10.1.0.2=db-1", "!10.1.0.3=db-2", "10.1.0.4"}},
		{of: "db.shop", from: "west", ports: pg, endpoints: []string{"10.2.0.1=db-0", "10.1.0.4", "10.2.0.5~pod-5"}},
		{of: "db.shop", from: "west-2", ports: pg[:1], endpoints: []string{"10.3.0.1=db-0", "10.3.0.2=db-0"}},
		{of: "six.shop", from: "east", ports: pg, endpoints: []string{"fd00:1::1=six", "fd00:1::"}},
		{of: "portless.shop", from: "east", endpoints: []string{"10.1.1.1=only"}},
		{of: "web.shop", from: "east", ports: []string{"http/TCP/8080"}, endpoints: []string{"10.1.2.1=one"}},
		{of: "both.shop", from: "east", local: "derived", ports: pg, endpoints: []string{"10.1.3.1=one"}},
		{of: "nobody.shop", from: "east", ports: pg, endpoints: []string{"10.1.4.1"}},
	}
}

func (s *importedSlice) object(i int) *discovery.EndpointSlice {
	name, namespace, _ := strings.Cut(s.of, ".")
	slice := &discovery.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", name, i), Namespace: namespace, Labels: map[string]string{
			"multicluster.kubernetes.io/service-name": name, "multicluster.kubernetes.io/source-cluster": s.from,
		}},
		AddressType: discovery.AddressTypeIPv4,
	}
	// Without this label CoreDNS has reverse names of a service without a name.
	slice.Labels[discovery.LabelServiceName] = "derived-" + name
	if s.local != "" {
		slice.Labels[discovery.LabelServiceName] = s.local
	}
	for _, text := range s.ports {
		port := parsePort(text)
		slice.Ports = append(slice.Ports, discovery.EndpointPort{Name: &port.Name, Protocol: &port.Protocol, Port: &port.Port})
	}
	for _, text := range s.endpoints {
		text, unready := strings.CutPrefix(text, "!")
		ready := !unready
		e := discovery.Endpoint{Conditions: discovery.EndpointConditions{Ready: &ready}}
		addr, host, named := strings.Cut(text, "=")
		addr, pod, isPod := strings.Cut(addr, "~")
		if named {
			e.Hostname = &host
		}
		if isPod {
			e.TargetRef = &corev1.ObjectReference{Kind: "Pod", Name: pod, Namespace: namespace}
		}
		if strings.Contains(addr, ":") {
			slice.AddressType = discovery.AddressTypeIPv6
		}
		e.Addresses = []string{addr}
		slice.Endpoints = append(slice.Endpoints, e)
	}
	return slice
}

func parsePort(text string) (port corev1.ServicePort) {
	part := strings.Split(text, "/")
	port.Name, port.Protocol = part[0], corev1.Protocol(part[1])
	if _, err := fmt.Sscan(part[2], &port.Port); err != nil {
		panic(err)
	}
	return port
}

// post creates an object from its YAML.
func post(t *testing.T, c *kube.Cluster, path, text string) {
	t.Helper()
	body, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	err = c.Client().CoreV1().RESTClient().Post().AbsPath(path).SetHeader("Content-Type", "application/json").Body(body).Do(t.Context()).Error()
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
}

func makeImport(t *testing.T, c *kube.Cluster, text string) {
	t.Helper()
	words := strings.Fields(text)
	name, namespace, _ := strings.Cut(words[0], ".")
	object := fmt.Sprintf("apiVersion: multicluster.x-k8s.io/v1alpha1\nkind: ServiceImport\nmetadata: {name: %s, namespace: %s}\nspec:\n  type: %s\n", name, namespace, words[1])
	ips, ports := "  ips: [", "  ports:\n"
	for _, word := range words[2:] {
		if !strings.Contains(word, "/") {
			ips += `"` + word + `",`
			continue
		}
		port := parsePort(word)
		ports += fmt.Sprintf("  - {name: %q, protocol: %s, port: %d}\n", port.Name, port.Protocol, port.Port)
	}
	post(t, c, "/apis/multicluster.x-k8s.io/v1alpha1/namespaces/"+namespace+"/serviceimports", object+ips+"]\n"+ports)
}

func makeSet(t *testing.T, c *kube.Cluster) {
	t.Helper()
	for _, namespace := range []string{"shop", "hidden", "empty"} {
		object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
		if _, err := c.Client().CoreV1().Namespaces().Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"web", "local"} {
		svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop"}}
		svc.Spec.Ports = []corev1.ServicePort{{Name: "http", Port: 80}}
		if _, err := c.Client().CoreV1().Services("shop").Create(t.Context(), svc, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for i, s := range importedSlices() {
		slice := s.object(i)
		if _, err := c.Client().DiscoveryV1().EndpointSlices(slice.Namespace).Create(t.Context(), slice, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// setBlocks are server blocks of one cluster and one cluster set each. The zones' names end in the block's number.
func setBlocks(c *kube.Cluster, bodies ...string) string {
	var corefile strings.Builder
	for i, body := range bodies {
		reverse := ""
		if i == 0 {
			reverse = " 10.in-addr.arpa"
		}
		fmt.Fprintf(&corefile, "cluster%[1]d.test set%[1]d.test%[2]s {\nbind 127.0.0.1\nkubernetes {\nkubeconfig %[3]s\nmulticluster set%[1]d.test\n%[4]s\n}\n}\n", i, reverse, c.Kubeconfig(), body)
	}
	return corefile.String()
}

// pendingName is the name of an import without an address, or of its port, where it is not ignored as an empty one.
var pendingName = regexp.MustCompile(`^((_http\._tcp|_http\.tcp|http\._tcp)\.)?pending\.shop\.svc\.set[013]\.`)

func setQuestions(block int) (all []string) {
	var names []string
	for _, text := range shared() {
		name := strings.Fields(text)[0]
		names = append(names, name, "_http._tcp."+name, "_pg._tcp."+name, "_pg._udp."+name, "_dns._udp."+name, "http.tcp."+name, "_http.tcp."+name, "http._tcp."+name, "x."+name, "a.b.c."+name)
	}
	for _, name := range []string{"db-0.east", "DB-0.West", "db-0.west-2", "db-1.west", "db-2.east", "10-1-0-4.east", "10-1-0-4.west", "10-2-0-5.west", "pod-5.west", "db-0", "_db-0.east", "db-0._east", "z.pin._zone"} {
		names = append(names, name+".db.shop")
	}
	names = append(names, "six.east.six.shop", "fd00-1--0.east.six.shop", "only.east.portless.shop", "one.east.web.shop", "one.east.both.shop", "one.west.both.shop",
		"local.shop", "nobody.shop", "derived.shop", "Web.Shop")
	for _, name := range names {
		for _, qtype := range []string{"A", "AAAA", "SRV", "TXT", "PTR", "CNAME", "HTTPS"} {
			all = append(all, fmt.Sprintf("%s.svc.set%d.test %s", name, block, qtype))
		}
	}
	for _, name := range []string{"web.shop.svc.cluster", "db.shop.svc.cluster", "derived.shop.svc.cluster", "shop.svc.set", "empty.svc.set", "hidden.svc.set", "nowhere.svc.set", "svc.set", "set",
		"10-1-2-3.shop.pod.set", "10-1-2-3.a.b.shop.pod.set", "shop.pod.set", "x.set"} {
		for _, qtype := range []string{"A", "AAAA", "SRV"} {
			if qtype != "SRV" || !strings.HasPrefix(name, "10-1-2-3") { // D5
				all = append(all, fmt.Sprintf("%s%d.test %s", name, block, qtype))
			}
		}
	}
	all = append(all, fmt.Sprintf("set%d.test SOA", block), fmt.Sprintf("dns-version.set%d.test TXT", block))
	for _, name := range []string{"1.0.1.10", "1.3.1.10", "1.0.112.10", "9.9.9.10"} {
		if block == 0 {
			all = append(all, name+".in-addr.arpa PTR")
		}
	}
	return all
}

// declareSet marks D1: an import without an address exists.
func declareSet(p probe) probe {
	name, qtype, _ := strings.Cut(strings.ToLower(p.question), " ")
	p.differs = "rcode"
	p.when = func(theirs *dns.Msg) bool {
		return qtype == "txt" && theirs.Rcode == dns.RcodeNameError && pendingName.MatchString(name)
	}
	return p
}

// TestMulticluster has a real API server with the definition of ServiceImports.
func TestMulticluster(t *testing.T) {
	peer.E2E(t)
	c := kube.Start(t, kube.Options{})
	c.InstallCRDs(t, kube.ServiceImports)
	makeSet(t, c)
	for _, text := range shared() {
		makeImport(t, c, text)
	}
	bodies := []string{"", "pods insecure\nttl 30\nzonal\nendpoint_pod_names", "ignore empty_service\nnamespaces shop empty", "noendpoints"}
	corefile := setBlocks(c, bodies...)
	theirs, ours := peer.StartCoreDNS(t, corefile), peer.StartNameplane(t, corefile)
	var probes []probe
	for i, body := range bodies {
		for _, server := range []string{theirs, ours} {
			awaitAnswer(t, server, fmt.Sprintf("db.shop.svc.set%d.test", i))
		}
		for _, p := range cross(body, setQuestions(i), probe{serials: true}, probe{serials: true, size: 1232}, probe{serials: true, size: 4096, tcp: true}) {
			if p.size > 0 || !strings.HasSuffix(p.question, "SRV") { // what is cut off of 512 bytes is anybody's choice
				probes = append(probes, declareSet(p))
			}
		}
	}
	compareProbes(t, theirs, ours, probes)
}

// Without the definition CoreDNS waits for it: it is never ready, and says SERVFAIL of names that are not there, in the
// cluster's own zone too. Nameplane knows that there are no imports, and takes them up when they come.
func TestMulticlusterWithoutDefinition(t *testing.T) {
	peer.E2E(t)
	c := kube.Start(t, kube.Options{})
	makeSet(t, c)
	corefile := setBlocks(c, "startup_timeout 1s")
	theirs, ours := peer.StartCoreDNS(t, corefile), peer.StartNameplane(t, corefile)
	for _, server := range []string{theirs, ours} {
		awaitAnswer(t, server, "web.shop.svc.cluster0.test")
	}
	for _, question := range []string{"nobody.shop.svc.cluster0.test A", "nobody.shop.svc.set0.test A", "db.shop.svc.set0.test A"} {
		p := probe{question: question}
		if m := p.ask(theirs); m == nil || m.Rcode != dns.RcodeServerFailure {
			t.Errorf("%s: CoreDNS answers %v, and no longer SERVFAIL", question, m)
		}
		if m := p.ask(ours); m == nil || m.Rcode != dns.RcodeNameError {
			t.Errorf("%s: %v, want NXDOMAIN", question, m)
		}
	}
	c.InstallCRDs(t, kube.ServiceImports)
	for _, text := range shared() {
		makeImport(t, c, text)
	}
	p := probe{question: "db.shop.svc.set0.test A"}
	for deadline := time.Now().Add(90 * time.Second); ; <-time.After(100 * time.Millisecond) {
		if m := p.ask(ours); m != nil && len(m.Answer) > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("imports are not answered 90 seconds after their definition came")
		}
	}
}

func TestMulticlusterVerdicts(t *testing.T) {
	bodies := map[string]bool{}
	for zones, accepted := range map[string]bool{"": true, "set.local": true, "SET.local.": true, "set.local cluster.local": true, "other.local": false, "set.local other.local": false, "local": false} {
		bodies["kubernetes cluster.local set.local {\nendpoint http://127.0.0.1:1\nstartup_timeout 1ms\nmulticluster "+zones+"\n}"] = accepted
	}
	compareVerdictsOf(t, bodies)
}
