package netns

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nameplane/nameplane/test/peer"
)

// TestLab is what a lab of Kubernetes lets its students do, by the programs that they do it with: names and virtual IPs
// together, the name server behind a virtual IP of its own, as kubelets write it into every pod's resolv.conf.
func TestLab(t *testing.T) {
	peer.E2E(t)
	for _, mode := range []string{nftables, relay} {
		t.Run(mode, func(t *testing.T) {
			l := newLab(t, mode)
			t.Run("names", l.names)
			t.Run("page", l.page)
			t.Run("scaled", l.scaled)
			t.Run("from outside", l.outside)
		})
	}
}

const resolvConf = `search default.svc.cluster.local svc.cluster.local cluster.local
nameserver 10.96.0.10
options ndots:5
`

// lab is a namespace with the service my-nginx, and a client pod.
type lab struct {
	*exam
	shell *host
	web   []*host // four pods, of which the service has two at a time
	nginx *service
}

func newLab(t *testing.T, mode string) *lab {
	t.Helper()
	w := theWorld(t)
	s := newSubject(t, w, options{mode: mode}).start(t)
	l := &lab{exam: newExam(w, mode, s.folder), shell: w.pod(t, "shell")}
	for i := range 4 {
		h := w.pod(t, fmt.Sprintf("my-nginx-%d", i))
		h.must(t, "Serve", Ports{Web: []int{80}}, &Nothing{})
		l.web = append(l.web, h)
	}
	l.mount(t, s)
	l.nameServer(t, s)
	l.nginx = newService(s.folder, v4, "my-nginx", netip.MustParseAddr("10.101.191.194"), tcp(80, 80))
	l.nginx.Namespace = "default"
	l.nginx.Spec.Type = "NodePort"
	l.nginx.Spec.Ports[0].NodePort = 32394
	l.nginx.to(l.up(l.web[:2]...)...).publish(t)
	return l
}

// mount gives the client pod the files that a kubelet gives it.
func (l *lab) mount(t *testing.T, s *subject) {
	t.Helper()
	path := filepath.Join(s.dir, "resolv.conf")
	if err := os.WriteFile(path, []byte(resolvConf), 0o644); err != nil {
		t.Fatal(err)
	}
	l.shell.must(t, "Mount", [2]string{path, "/etc/resolv.conf"}, &Nothing{})
}

// nameServer runs Nameplane's other half in a pod, behind 10.96.0.10. The names outside of the cluster are a few.
func (l *lab) nameServer(t *testing.T, s *subject) {
	t.Helper()
	corefile := fmt.Sprintf(`cluster.local in-addr.arpa ip6.arpa {
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        manifests %s
    }
}
. {
    template IN A example.com {
        match "^my[.]database[.]example[.]com[.]$"
        answer "{{ .Name }} 60 IN A 203.0.113.5"
        fallthrough
    }
    template ANY ANY example.com {
        match "^my[.]database[.]example[.]com[.]$"
        rcode NOERROR
        fallthrough
    }
    template ANY ANY {
        rcode NXDOMAIN
    }
}
`, s.folder)
	dir := t.TempDir()
	path := filepath.Join(dir, "Corefile")
	if err := os.WriteFile(path, []byte(corefile), 0o644); err != nil {
		t.Fatal(err)
	}
	pod := l.pod(t, "kube-dns")
	var log string
	pod.must(t, "Start", Program{Dir: dir, Args: []string{s.bin, "-conf", path}}, &log)
	t.Cleanup(func() {
		pod.must(t, "Stop", dir, &Nothing{})
		if text, err := os.ReadFile(log); t.Failed() && err == nil {
			t.Logf("kube-dns: %s", text)
		}
	})
	dns := newService(s.folder, v4, "kube-dns", netip.MustParseAddr("10.96.0.10"), udp(53, 53), tcp(53, 53))
	dns.Namespace = "kube-system"
	dns.to(l.up(pod)...).publish(t)
	s.folder.put(t, "external", externalName("default", "my-service", "my.database.example.com"))
}

// nslookup is what the command prints in the client pod, in one line of words.
func (l *lab) nslookup(t *testing.T, name string) (printed string, err error) {
	t.Helper()
	method, argument := "Run", any(Command{Args: []string{"nslookup", name}})
	if _, err := exec.LookPath("nslookup"); err != nil {
		method, argument = "Resolve", name // the same question, by Go's resolver
	}
	err = l.shell.call(method, argument, &printed)
	return strings.Join(strings.Fields(printed), " "), err
}

func (l *lab) names(t *testing.T) {
	for _, test := range []struct{ name, want string }{
		{name: "my-nginx", want: "Name: my-nginx.default.svc.cluster.local Address: 10.101.191.194"},
		{name: "my-nginx.default", want: "Name: my-nginx.default.svc.cluster.local Address: 10.101.191.194"},
		{name: "kube-dns.kube-system", want: "Name: kube-dns.kube-system.svc.cluster.local Address: 10.96.0.10"},
		{name: "my-service", want: "Name: my.database.example.com Address: 203.0.113.5"},
	} {
		l.soon(t, func() error {
			printed, err := l.nslookup(t, test.name)
			if err == nil && !strings.Contains(printed, test.want) {
				err = fmt.Errorf("nslookup %s prints %q, want %q", test.name, printed, test.want)
			}
			return err
		})
	}
	for _, name := range []string{"my-nginx.my-nginx", "nobody"} {
		if printed, err := l.nslookup(t, name); err == nil {
			t.Errorf("nslookup %s prints %q, want an error", name, printed)
		}
	}
}

// curl gets a page in some pod or machine.
func curl(t *testing.T, h *host, url string) (page string, err error) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err == nil {
		err = h.call("Run", Command{Args: []string{"curl", "-sS", "-m", "2", url}}, &page)
		return page, err
	}
	err = h.call("Fetch", url, &page)
	return page, err
}

// pages tells what is wrong unless these pods, and no others, give the page, about as often.
func pages(t *testing.T, h *host, url string, count int, pods ...*host) error {
	t.Helper()
	tally := &Tally{Names: map[string]int{}, Failures: map[string]int{}}
	for range count {
		page, err := curl(t, h, url)
		_, after, _ := strings.Cut(page, "<p>")
		name, _, welcome := strings.Cut(after, "</p>")
		switch {
		case err != nil:
			return err
		case !welcome || !strings.Contains(page, "Welcome to nginx!"):
			return fmt.Errorf("%s is %q", url, page)
		}
		tally.Names[name]++
	}
	return tally.evenly(hostNames(pods)...)
}

func (l *lab) page(t *testing.T) {
	l.soon(t, func() error { return pages(t, l.shell, "http://my-nginx", 40, l.web[:2]...) })
}

func (l *lab) scaled(t *testing.T) {
	l.nginx.to().publish(t)
	l.soon(t, func() error {
		page, err := curl(t, l.shell, "http://my-nginx")
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), "refused") && !strings.Contains(err.Error(), "Couldn't connect") {
			return fmt.Errorf("page %q, error %v; want the connection refused", page, err)
		}
		return nil
	})
	if printed, err := l.nslookup(t, "my-nginx"); err != nil {
		t.Errorf("the name is to stay: %v: %s", err, printed)
	}
	l.nginx.to(l.up(l.web[2:]...)...).publish(t)
	l.soon(t, func() error { return pages(t, l.shell, "http://my-nginx", 20, l.web[2:]...) })
}

func (l *lab) outside(t *testing.T) {
	l.nginx.to(l.up(l.web[0], l.web[3])...).publish(t)
	l.soon(t, func() error { return pages(t, l.ext, "http://192.168.50.1:32394", 40, l.web[0], l.web[3]) })
}
