package netns

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/test/peer"
	"github.com/nameplane/nameplane/test/stock"
)

// TestNodeLocal puts the program in the place of NodeLocal DNSCache's: with the arguments of its DaemonSet and the ConfigMap
// of its addon, gaps and all. It has to make the addresses, keep connection tracking off them, follow kube-dns's
// ConfigMap, and leave nothing behind.
func TestNodeLocal(t *testing.T) {
	theWorld(t)
	dir := t.TempDir()
	program := func(name string, args ...string) *peer.Process {
		into := filepath.Join(dir, name)
		if err := os.MkdirAll(into, 0o755); err != nil {
			t.Fatal(err)
		}
		p, err := peer.Start(into, peer.Nameplane(t), args...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Kill() })
		return p
	}
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}

	const clusterDNS = "127.5.0.3"
	program("cluster", "-conf", file("Corefile", `. {
    bind `+clusterDNS+`
    template IN A {
        answer "{{ .Name }} 30 IN A 192.0.2.7"
    }
}
`))
	nodelocal := stock.Corefiles()[len(stock.Corefiles())-1]
	base := file("Corefile.base", nodelocal.Fill(map[string]string{
		"{PORT}": "53", "{ADDRESSES}": "__PILLAR__LOCAL__DNS__ __PILLAR__DNS__SERVER__", "{CLUSTER}": "__PILLAR__CLUSTER__DNS__", "{UPSTREAM}": "__PILLAR__UPSTREAM__SERVERS__",
	}))
	upstreams := file("upstreamNameservers", `["`+clusterDNS+`"]`)
	t.Setenv("KUBE_DNS_UPSTREAM_SERVICE_HOST", clusterDNS)
	cache := program("cache", "-localip", "169.254.20.10,10.96.0.10", "-conf", "/etc/Corefile", "-upstreamsvc", "kube-dns-upstream", "-pidfile", filepath.Join(dir, "pid"),
		"-basecorefile", base, "-kubednscm", filepath.Dir(upstreams), "-syncinterval", "1", "-metrics-listen-address", "127.0.0.1:9353")

	soon := func(what string, is func() error) {
		t.Helper()
		if err := cache.Await(t.Context(), 10*time.Second, func(context.Context) error { return is() }); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	for _, address := range []string{"169.254.20.10", "10.96.0.10"} {
		for _, proto := range []string{"udp", "tcp"} {
			soon(address+" by "+proto, func() error { return answers(proto, address, "a.default.svc.cluster.local.") })
			soon(address+" by "+proto+" for others", func() error { return answers(proto, address, "www.example.org.") })
		}
	}
	soon("the rules", rules)
	if out, err := exec.Command("nft", "delete", "table", "inet", "nameplane-nodelocal").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	soon("the rules, deleted by somebody", rules)
	soon("the metrics", func() error {
		reply, err := http.Get("http://127.0.0.1:9353/metrics")
		if err == nil {
			reply.Body.Close()
		}
		return err
	})

	file("stubDomains", "no JSON")
	refresh(t, cache)
	soon("the error", func() error { return says(cache, "stubDomains: invalid character") })
	if err := answers("udp", "10.96.0.10", "b.default.svc.cluster.local."); err != nil {
		t.Error(err)
	}
	file("stubDomains", `{"stub.example": ["`+clusterDNS+`"]}`)
	refresh(t, cache)
	soon("the stub domain", func() error { return says(cache, "stub.example.:53") })

	if err := cache.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-cache.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
	if out, _ := exec.Command("ip", "-o", "address").Output(); strings.Contains(string(out), "169.254.20.10") || strings.Contains(string(out), "10.96.0.10/") {
		t.Errorf("addresses are left:\n%s", out)
	}
	if rules() == nil {
		t.Error("rules are left")
	}
}

func answers(proto, address, name string) error {
	client := dns.Client{Net: proto, Timeout: time.Second}
	reply, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA), address+":53")
	if err == nil && len(reply.Answer) != 1 {
		err = fmt.Errorf("answered %s", reply)
	}
	return err
}

func rules() error {
	out, err := exec.Command("nft", "list", "table", "inet", "nameplane-nodelocal").CombinedOutput()
	for _, want := range []string{"ip daddr 10.96.0.10 udp dport 53 notrack", "ip saddr 169.254.20.10 tcp sport 53 notrack", "ip daddr 169.254.20.10 tcp dport 8080 notrack"} {
		if err == nil && !strings.Contains(string(out), want) {
			err = fmt.Errorf("no %q in\n%s", want, out)
		}
	}
	return err
}

func refresh(t *testing.T, p *peer.Process) {
	t.Helper()
	if err := p.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
}

func says(p *peer.Process, text string) error {
	log, err := os.ReadFile(p.Log())
	if err == nil && !strings.Contains(string(log), text) {
		err = fmt.Errorf("it does not say %q", text)
	}
	return err
}
