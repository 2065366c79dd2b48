package directives

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nameplane/nameplane/test/kube"
	"github.com/nameplane/nameplane/test/peer"
)

// outside is a service as a cloud or an operator makes it.
type outside struct {
	name      string // "service.namespace"
	headless  bool
	external  []string // spec.externalIPs
	ingress   []string // addresses and names of load balancers
	ports     []string // "name/protocol/number"
	endpoints []string // "address" or "address=hostname"; ports are the service's
}

func outsides() []outside {
	return []outside{
		{name: "web.shop", external: []string{"192.0.2.1", "192.0.2.2"}, ports: []string{"http/TCP/80", "https/TCP/443"}},
		{name: "six.shop", external: []string{"192.0.2.3", "2001:db8::3"}, ports: []string{"http/TCP/80"}},
		{name: "dns.shop", external: []string{"192.0.2.4"}, ports: []string{"dns/UDP/53", "dns-tcp/TCP/53"}},
		{name: "balanced.shop", ingress: []string{"198.51.100.1", "2001:db8:1::1"}, ports: []string{"http/TCP/80"}},
		{name: "both.shop", external: []string{"192.0.2.5"}, ingress: []string{"198.51.100.2"}, ports: []string{"http/TCP/80"}},
		{name: "cloud.shop", ingress: []string{"lb.up"}, ports: []string{"http/TCP/80"}},
		{name: "cloud-two.shop", ingress: []string{"lb.up"}, ports: []string{"http/TCP/80", "https/TCP/443"}},
		{name: "alias.shop", ingress: []string{"alias.up", "198.51.100.3"}, ports: []string{"http/TCP/80"}},
		{name: "lost.shop", ingress: []string{"nx.up"}, ports: []string{"http/TCP/80"}},
		{name: "inside.shop", ports: []string{"http/TCP/80"}, endpoints: []string{"10.244.0.9", "10.244.0.8=named"}},
		{name: "db.shop", headless: true, ports: []string{"pg/TCP/5432", "metrics/TCP/9187"}, endpoints: []string{"10.244.0.1=db-0", "10.244.0.2=db-1", "10.244.0.3"}},
		{name: "portless.shop", headless: true, endpoints: []string{"10.244.0.4"}},
		{name: "bare.shop", headless: true, external: []string{"192.0.2.6"}},
		{name: "shown.shop", headless: true, external: []string{"192.0.2.7"}, ports: []string{"http/TCP/80"}, endpoints: []string{"10.244.0.5"}},
		{name: "none.shop", headless: true, ports: []string{"http/TCP/80"}},
		{name: "secret.hidden", external: []string{"192.0.2.8"}, ports: []string{"http/TCP/80"}},
	}
}

// make puts the service into the cluster.
func (o *outside) make(t *testing.T, c *kube.Cluster) {
	t.Helper()
	ctx, client := t.Context(), c.Client()
	name, namespace, _ := strings.Cut(o.name, ".")
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}}
	svc.Spec.ExternalIPs = o.external
	if len(o.ingress) > 0 {
		svc.Spec.Type = corev1.ServiceTypeLoadBalancer
	}
	if o.headless {
		svc.Spec.ClusterIP = corev1.ClusterIPNone
	}
	slice := &discovery.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: map[string]string{discovery.LabelServiceName: name}}, AddressType: discovery.AddressTypeIPv4}
	for _, text := range o.ports {
		part := strings.Split(text, "/")
		var number int32
		if _, err := fmt.Sscan(part[2], &number); err != nil {
			t.Fatal(err)
		}
		protocol := corev1.Protocol(part[1])
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: part[0], Protocol: protocol, Port: number})
		slice.Ports = append(slice.Ports, discovery.EndpointPort{Name: &part[0], Protocol: &protocol, Port: &number})
	}
	made, err := client.CoreV1().Services(namespace).Create(ctx, svc, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range o.ingress {
		ingress := corev1.LoadBalancerIngress{Hostname: text}
		if strings.ContainsAny(text, ":") || text[0] >= '0' && text[0] <= '9' {
			ingress = corev1.LoadBalancerIngress{IP: text}
		}
		made.Status.LoadBalancer.Ingress = append(made.Status.LoadBalancer.Ingress, ingress)
	}
	if len(o.ingress) > 0 {
		if _, err := client.CoreV1().Services(namespace).UpdateStatus(ctx, made, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range o.endpoints {
		addr, host, named := strings.Cut(text, "=")
		e := discovery.Endpoint{Addresses: []string{addr}}
		if named {
			e.Hostname = &host
		}
		slice.Endpoints = append(slice.Endpoints, e)
	}
	if len(o.endpoints) > 0 {
		if _, err := client.DiscoveryV1().EndpointSlices(namespace).Create(ctx, slice, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestK8sExternal has a real API server. Blocks of two options are compared with all services, ports and endpoints.
func TestK8sExternal(t *testing.T) {
	peer.E2E(t)
	c := kube.Start(t, kube.Options{})
	for _, namespace := range []string{"shop", "hidden", "empty"} {
		object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
		if _, err := c.Client().CoreV1().Namespaces().Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	all := outsides()
	for i := range all {
		all[i].make(t, c)
	}
	up := serveDNS(t, balancer)
	options := []string{"k8s_external @ 2.0.192.in-addr.arpa", "k8s_external @ 2.0.192.in-addr.arpa {\nheadless\napex servers\n}", "k8s_external @ {\nfallthrough\nheadless\n}", "k8s_external @ {\nttl 60\n}"}
	bodies := make([]string, len(options))
	for i, text := range options {
		shown := ""
		if i == 1 {
			shown = "namespaces shop empty\n"
		}
		bodies[i] = text + "\nkubernetes cluster.local {\nkubeconfig " + c.Kubeconfig() + "\n" + shown + "}\nforward . " + up
	}
	corefile := strings.Replace(blocks(bodies...), zone(0)+" {", zone(0)+" up 2.0.192.in-addr.arpa {", 1)
	theirs, ours := peer.StartCoreDNS(t, corefile), peer.StartNameplane(t, corefile)
	for _, server := range []string{theirs, ours} {
		awaitAnswer(t, server, "web.shop."+zone(3))
	}
	var probes []probe
	for i := range options {
		probes = append(probes, declareExternal(i, cross(options[i], externalQuestions(i, all), probe{serials: true}, probe{serials: true, size: 1232}, probe{serials: true, size: 4096, tcp: true}))...)
	}
	compareProbes(t, theirs, ours, probes)
}

// balancer answers names of load balancers.
func balancer(w dns.ResponseWriter, r *dns.Msg) {
	m := new(dns.Msg).SetReply(r)
	q := r.Question[0]
	switch strings.ToLower(q.Name) {
	case "lb.up.":
		m.Answer = addresses(q)
	case "alias.up.":
		m.Answer = record("alias.up. 77 IN CNAME lb.up.")
		if q.Qtype == dns.TypeA {
			m.Answer = append(m.Answer, record("lb.up. 66 IN A 192.0.2.99")...)
		}
	default:
		m.Rcode, m.Ns = dns.RcodeNameError, record("up. 300 IN SOA ns.up. root.up. 1 2 3 4 5")
	}
	_ = w.WriteMsg(m) // who has gone does not want it
}

func awaitAnswer(t *testing.T, server, name string) {
	t.Helper()
	p := probe{question: name + " A"}
	for deadline := time.Now().Add(20 * time.Second); ; {
		if m := p.ask(server); m != nil && len(m.Answer) > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer %s", server, name)
		}
		<-time.After(50 * time.Millisecond)
	}
}

func externalQuestions(block int, services []outside) []string {
	var names []string
	for _, o := range services {
		names = append(names, o.name, "_http._tcp."+o.name, "http.tcp."+o.name, "_https._tcp."+o.name, "_http._udp."+o.name, "_dns._udp."+o.name, "_pg._tcp."+o.name, "x."+o.name, "a.b.c."+o.name)
	}
	names = append(names, "db-0.db.shop", "DB-1.db.shop", "_db-1.db.shop", "10-244-0-3.db.shop", "10-244-0-1.db.shop", "10-244-0-4.portless.shop", "10-244-0-9.inside.shop", "named.inside.shop",
		"Web.Shop", "nobody.shop", "nobody.nowhere", "shop", "empty", "hidden", "nowhere", "dns", "ns1.dns", "ns2.dns", "a.ns1.dns", "servers", "ns1.servers", "a.servers")
	questions := below(block, "@ SOA", "@ NS", "@ A", "@ TXT", "@ PTR")
	for _, name := range names {
		for _, qtype := range []string{"A", "AAAA", "SRV", "TXT", "PTR", "CNAME", "SOA"} {
			questions = append(questions, name+"."+zone(block)+" "+qtype)
		}
	}
	if block == 0 {
		for _, last := range []string{"1", "3", "4", "6", "8", "99"} {
			questions = append(questions, last+".2.0.192.in-addr.arpa PTR", last+".2.0.192.in-addr.arpa A")
		}
		questions = append(questions, "2.0.192.in-addr.arpa SOA", "2.0.192.in-addr.arpa PTR")
	}
	return questions
}

// declareExternal marks what the directive's README says of differences from CoreDNS.
func declareExternal(block int, probes []probe) []probe {
	for i := range probes {
		p := &probes[i]
		name, qtype, _ := strings.Cut(strings.ToLower(p.question), " ")
		if strings.HasSuffix(name, ".2.0.192.in-addr.arpa") {
			if qtype == "a" && !strings.HasPrefix(name, "99.") {
				p.differs = "rcode" // RFC 8020
			}
			continue
		}
		p.differs = "answer"
		p.when = func(theirs *dns.Msg) bool {
			seen := map[string]bool{}
			for _, rr := range theirs.Answer {
				switch rtype := rr.Header().Rrtype; {
				case seen[rr.String()]: // an alias for each port
					return true
				case block == 3 && (rtype == dns.TypeSRV || rtype == dns.TypeCNAME && rr.Header().Name == theirs.Question[0].Name):
					return true // with the TTL of kubernetes
				}
				seen[rr.String()] = true
			}
			return false
		}
	}
	return probes
}

func TestK8sExternalVerdicts(t *testing.T) {
	const kubernetes = "\nkubernetes cluster.local {\nendpoint http://127.0.0.1:1\nstartup_timeout 1ms\n}"
	bodies := map[string]bool{"k8s_external example.org": false} // without kubernetes
	for body, accepted := range map[string]bool{
		"k8s_external": true, "k8s_external a b 10.0.0.0/8": true, "k8s_external {\nttl 0\n}": true, "k8s_external {\nttl 3600\napex x\nheadless\nfallthrough\n}": true,
		"k8s_external {\nfallthrough a b\n}": true, "k8s_external {\nttl 3601\n}": false, "k8s_external {\nttl -1\n}": false, "k8s_external {\nttl x\n}": false, "k8s_external {\nttl\n}": false,
		"k8s_external {\napex\n}": false, "k8s_external {\nupstream\n}": false,
	} {
		bodies[body+kubernetes] = accepted
	}
	compareVerdictsOf(t, bodies)
}
