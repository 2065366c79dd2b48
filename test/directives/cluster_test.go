package directives

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nameplane/nameplane/test/kube"
	"github.com/nameplane/nameplane/test/peer"
)

// TestCluster compares autopath, metadata and transfer over a real API server, in which the test's own address is that of a
// pod in the namespace team.
func TestCluster(t *testing.T) {
	peer.E2E(t)
	c := kube.Start(t, kube.Options{})
	fillCluster(t, c)
	up := serveDNS(t, farAway)
	kubernetes := "kubernetes @ {\nkubeconfig " + c.Kubeconfig() + "\npods verified\nPLACE}\n"
	var labels []string
	for _, label := range strings.Fields("kind namespace service endpoint port-name protocol zone parse-error client-namespace client-pod-name client-label/app client-label/none other") {
		labels = append(labels, fmt.Sprintf(`{{ .Meta \"kubernetes/%s\" }}`, label))
	}
	template := `template ANY TXT {` + "\n" + `answer "{{ .Name }} 60 IN TXT x` + strings.Join(labels, "|") + `"` + "\n}\n"
	corefile := strings.ReplaceAll(blocks(
		"autopath ATkubernetes\n"+kubernetes+"forward . "+up,
		"autopath @ ATkubernetes\n"+strings.Replace(kubernetes, "PLACE", "fallthrough\nPLACE", 1)+"forward . "+up,
		"metadata\n"+template+kubernetes,
		"metadata\n"+template+strings.Replace(kubernetes, "PLACE", "zonal\nPLACE", 1),
		template+kubernetes,
		"transfer {\nto *\n}\n"+kubernetes,
	), "PLACE", "")
	corefile = strings.ReplaceAll(corefile, "ATkubernetes", "@kubernetes") // blocks has put zones in the place of "@"
	corefile += ". {\nbind 127.0.0.1\nmetadata\n" + template + strings.ReplaceAll(strings.ReplaceAll(kubernetes, "@", "cluster.local"), "PLACE", "") + "}\n"
	theirs, ours := peer.StartCoreDNS(t, corefile), peer.StartNameplane(t, corefile)
	for _, server := range []string{theirs, ours} {
		awaitAnswer(t, server, "web.team.svc."+zone(1))
		awaitAnswer(t, server, "www.example.net.team.svc."+zone(0)) // once the pod is known
	}
	probes := append(autopathProbes(0), autopathProbes(1)...)
	compareProbes(t, theirs, ours, append(probes, metadataProbes()...))
	compareClusterZones(t, theirs, ours)

	unwatched := peer.StartNameplane(t, strings.ReplaceAll(corefile, "pods verified", "pods insecure"))
	awaitAnswer(t, unwatched, "web.team.svc."+zone(1))
	compareProbes(t, theirs, unwatched, unwatchedProbes())
}

func fillCluster(t *testing.T, c *kube.Cluster) {
	t.Helper()
	ctx, client := t.Context(), c.Client()
	for _, namespace := range []string{"team", "other"} {
		if _, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range []outside{
		{name: "web.team", ports: []string{"http/TCP/80", "https/TCP/443"}},
		{name: "two.other", ports: []string{"dns/UDP/53", "dns-tcp/TCP/53"}},
		{name: "db.team", headless: true, ports: []string{"pg/TCP/5432", "metrics/TCP/9187"}, endpoints: []string{"10.244.0.1=db-0", "10.244.0.2=db-1", "10.244.0.3"}},
		{name: "none.team", headless: true, ports: []string{"http/TCP/80"}},
	} {
		o.make(t, c)
	}
	alias := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "ext", Namespace: "team"}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "web.team.svc." + zone(0)}}
	if _, err := client.CoreV1().Services("team").Create(ctx, alias, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "client", Namespace: "team", Labels: map[string]string{"app": "shop"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.org/main"}}},
	}
	made, err := client.CoreV1().Pods("team").Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	made.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "127.0.0.1", PodIPs: []corev1.PodIP{{IP: "127.0.0.1"}}}
	if _, err := client.CoreV1().Pods("team").UpdateStatus(ctx, made, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func autopathProbes(block int) (probes []probe) {
	names := strings.Fields(`web.team.svc www.example.net.team.svc WWW.Example.NET.team.svc missing.example.net.team.svc empty.example.net.team.svc broken.example.net.team.svc
		two.other.team.svc two.other.svc.team.svc web.team.svc web.team.svc.team.svc nobody.team.svc www.team.svc www.example.net.other.svc www.example.net.svc www.example.net
		www.example.net.nowhere.svc x.web.team.svc a.b.web.team.svc _http._tcp.web.team.svc _pg._tcp.db.team.svc db-0.db.team.svc db.team.svc ext.team.svc team.svc other.svc svc`)
	for _, name := range names {
		for _, qtype := range []string{"A", "AAAA", "CNAME", "SRV", "TXT", "MX", "PTR"} {
			for _, p := range []probe{{}, {size: 4096, do: true}, {size: 1232, tcp: true}} {
				p.name, p.question, p.serials = "autopath", name+"."+zone(block)+" "+qtype, true
				switch {
				case name == "team.svc": // the first entry of the list itself
					p.differs = "rcode flags authority"
				case name == "ext.team.svc" && qtype == "A": // the same alias twice
					p.differs = "answer"
				case qtype == "TXT" && (name == "svc" || name == "other.svc") && block == 0: // kubernetes' D1
					p.differs = "rcode"
				case qtype == "TXT" && (name == "svc" || name == "other.svc"): // which falls through
					p.differs = "flags authority"
				}
				probes = append(probes, p)
			}
		}
	}
	return probes
}

// unwatchedProbes are those of which a server that watches no pods gives the replies of one that does.
func unwatchedProbes() (probes []probe) {
	for _, name := range strings.Fields(`www.example.net.team.svc WWW.Example.NET.team.svc missing.example.net.team.svc empty.example.net.team.svc broken.example.net.team.svc
		two.other.team.svc two.other.svc.team.svc web.team.svc.team.svc no.body.team.svc web.team.svc www.example.net.svc db-0.db.team.svc _http._tcp.web.team.svc www.example.net`) {
		for _, qtype := range []string{"A", "AAAA", "CNAME"} {
			for _, p := range []probe{{}, {size: 4096, do: true}, {size: 1232, tcp: true}} {
				p.name, p.question, p.serials = "unwatched", name+"."+zone(0)+" "+qtype, true
				probes = append(probes, p)
			}
		}
	}
	return probes
}

func metadataProbes() (probes []probe) {
	names := strings.Fields(`@ web.team.svc _http._tcp.web.team.svc http.tcp.web.team.svc db-0.db.team.svc 10-0-0-1.team.pod team.svc svc pod nobody.nowhere.svc x.y a.b.c.web.team.svc
		z1.pin._zone.web.team.svc a.z1.prefer._zone.web.team.svc z1.near._zone.web.team.svc z1.pin._zone.web.team.pod dns-version`)
	for _, zone := range []string{zone(2), zone(3), zone(4), "cluster.local", "example.com"} {
		for _, name := range names {
			p := probe{name: "metadata", question: strings.TrimPrefix(name+"."+zone, "@.") + " TXT"}
			probes = append(probes, p)
		}
	}
	return probes
}

// compareClusterZones compares transfers as sets: CoreDNS sends some records twice.
func compareClusterZones(t *testing.T, theirs, ours string) {
	t.Helper()
	for _, m := range []*dns.Msg{new(dns.Msg).SetAxfr(zone(5) + "."), new(dns.Msg).SetIxfr(zone(5)+".", 1, "ns.", "a.")} {
		a, b := transferred(t, theirs, m), transferred(t, ours, m)
		for _, lines := range [][]string{a, b} {
			if !strings.Contains(lines[0], "\tsoa\t") || lines[0] != lines[len(lines)-1] {
				t.Errorf("a transfer from %s to %s, want SOA records", lines[0], lines[len(lines)-1])
			}
		}
		var shape [2][]string
		for i, lines := range [][]string{a[1 : len(a)-1], b[1 : len(b)-1]} {
			shape[i] = slices.Clone(lines)
			slices.Sort(shape[i])
			shape[i] = slices.Compact(shape[i])
		}
		if !slices.Equal(shape[0], shape[1]) || len(shape[1]) < 15 {
			t.Errorf("CoreDNS sends\n%s\nNameplane\n%s", strings.Join(shape[0], "\n"), strings.Join(shape[1], "\n"))
		}
		t.Logf("%d different records in both transfers, of %d and %d", len(shape[1]), len(a)-2, len(b)-2)
	}
}

// TestAutopathFile compares search lists from files. The zone's file holds what the list leads to.
func TestAutopathFile(t *testing.T) {
	peer.E2E(t)
	dir := writeZones(t)
	for name, text := range map[string]string{
		"list": "search first.org example.org\nnameserver 192.0.2.1\n", "one": "search First.org\n", "nested": "search a.first.org first.org example.org\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	up := serveDNS(t, farAway)
	var corefile strings.Builder
	var probes []probe
	questions := []string{
		"www.first.org A", "WWW.first.org AAAA", "mail.first.org MX", "alias.first.org A", "away.first.org A", "www.example.net.first.org A", "missing.example.net.first.org A", "empty.example.net.first.org A",
		"broken.example.net.first.org A", "nowhere.first.org A", "a.wild.first.org TXT", "host.old.first.org A", "a.sub.first.org A", "first.first.org A", "www.a.first.org A", "here.first.org A", "x.here.first.org A",
		"www.example.org A", "nowhere.example.org A", "first.org A",
	}
	if err := os.WriteFile(filepath.Join(dir, "first"), []byte("@ 60 SOA ns admin 1 1 1 1 1\n@ NS ns\nhere A 192.0.2.77\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	const port = "first.org example.org {\nbind 127.0.0.1\n"
	for _, list := range []string{"list", "one", "nested"} {
		corefile.Reset()
		fmt.Fprintf(&corefile, port+"autopath %[1]s/%[2]s\nfile %[1]s/first first.org\nfile %[1]s/plain example.org\nforward . %[3]s\n}\n", dir, list, up)
		fmt.Fprintf(&corefile, ". {\nbind 127.0.0.1\nforward . %s\n}\n", up)
		probes = cross(list, questions, usual()...)
		for i := range probes {
			if name, _, _ := strings.Cut(probes[i].question, " "); name == "first.org" && list != "nested" {
				probes[i].differs = "rcode flags authority"
			}
		}
		comparePeers(t, corefile.String(), probes)
	}
}
