package main

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// greeter is a backend that says its name to whoever connects, and then what it hears.
func greeter(t *testing.T, name string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				fmt.Fprintln(conn, name)
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					fmt.Fprintln(conn, lines.Text())
				}
			}()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

// webYAML is a service at a virtual IP with one pod, which is a greeter.
func webYAML(vip netip.AddrPort, pod netip.AddrPort) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: web, namespace: default, labels: {service.kubernetes.io/service-proxy-name: nameplane}}
spec: {clusterIP: %s, selector: {app: web}, ports: [{port: %d, targetPort: %d}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: default, labels: {app: web}}
status: {phase: Running, podIP: %s}
`, vip.Addr(), vip.Port(), pod.Port(), pod.Addr())
}

// client is a connection to a virtual IP.
type client struct {
	net.Conn
	lines *bufio.Scanner
	name  string // of the backend
}

func dial(at netip.AddrPort) (*client, error) {
	conn, err := net.DialTimeout("tcp", at.String(), 5*time.Second)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	c := &client{Conn: conn, lines: bufio.NewScanner(conn)}
	if !c.lines.Scan() {
		conn.Close()
		return nil, fmt.Errorf("no greeting: %v", c.lines.Err())
	}
	c.name = c.lines.Text()
	return c, nil
}

// says tells whether what is sent comes back.
func (c *client) says(word string) bool {
	_, err := fmt.Fprintln(c, word)
	return err == nil && c.lines.Scan() && c.lines.Text() == word
}

// until polls until check has no error.
func until(t *testing.T, check func() error) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; <-time.After(5 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// A life of the forwarder: from the start over reloads that must not be felt, to one that takes the directive away.
func TestVIP(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has all of 127.0.0.0/8")
	}
	vip := netip.AddrPortFrom(netip.MustParseAddr("127.98.0.1"), greeter(t, "a free port").Port())
	one, two := greeter(t, "one"), greeter(t, "two")
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	conf := filepath.Join(dir, "Corefile")
	corefile := func(directives string) string { return ". {\n bind 127.0.0.1\n " + directives + "\n}\n" }
	const forwards = "vip {\n mode relay\n manifests services.yaml\n service_cidr 127.98.0.0/16\n }"
	write("services.yaml", webYAML(vip, one))
	write("Corefile", corefile(forwards))
	p := launch(t, "", "-conf", conf, "-p", "0")
	port := p.await(`\.:(\d+) on 127\.0\.0\.1\n`)
	p.await(`\[INFO\] plugin/vip: all is forwarded mode=relay services=1 frontends=1 refused=0 `)
	if reply := ask(t, port, "a.example."); reply.Rcode != dns.RcodeRefused {
		t.Errorf("a pure forwarder answers questions:\n%s", reply)
	}
	long, err := dial(vip)
	if err != nil || long.name != "one" {
		t.Fatalf("%+v, %v", long, err)
	}
	defer long.Close()

	write("services.yaml", webYAML(vip, two))
	until(t, func() error {
		c, err := dial(vip)
		if err != nil {
			return err
		}
		defer c.Close()
		if c.name != "two" {
			return fmt.Errorf("it is %s that answers, want two", c.name)
		}
		return nil
	})
	if !long.says("still there") {
		t.Error("a connection was cut off by a change of endpoints")
	}

	write("Corefile", corefile(forwards+"\n whoami"))
	send(t, syscall.SIGUSR1)
	p.await(`\[INFO\] reloaded`)
	if !long.says("over a reload") {
		t.Error("a connection was cut off by a reload")
	}
	if reply := ask(t, port, "a.example."); reply.Rcode != dns.RcodeSuccess {
		t.Errorf("beside whoami:\n%s", reply)
	}

	write("Corefile", corefile("whoami"))
	send(t, syscall.SIGUSR1)
	p.await(`\[INFO\] plugin/vip: forwarding ends here; its sockets are closed`)
	if c, err := dial(vip); err == nil {
		t.Errorf("%s answers though vip is gone", c.name)
		c.Close()
	}
	send(t, syscall.SIGTERM)
	p.end(exitOK)
}

// Names and virtual IPs come from one store, wherever in the Corefile the directives stand; a source of its own is another.
func TestVIPSharesStore(t *testing.T) {
	demo, err := filepath.Abs("demo")
	if err != nil {
		t.Fatal(err)
	}
	const vip = ". {\n bind 127.0.0.1\n vip {\n  mode plan\n  %s\n }\n}\n"
	kubernetes := "cluster.local {\n bind 127.0.0.1\n kubernetes {\n  manifests " + demo + "\n }\n}\n"
	for _, test := range []struct {
		name, corefile string
		read           int // times that manifests are read
	}{
		{name: "vip first", corefile: fmt.Sprintf(vip, "") + kubernetes, read: 1},
		{name: "vip last", corefile: kubernetes + fmt.Sprintf(vip, ""), read: 1},
		{name: "of its own", corefile: kubernetes + fmt.Sprintf(vip, "manifests "+filepath.Join(demo, "nginx.yaml")), read: 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := launch(t, test.corefile, "-conf", "stdin", "-p", "0")
			port := p.await(`\.:(\d+) on 127\.0\.0\.1\n`)
			p.await(`\[INFO\] plugin/vip: all is planned, and nothing forwarded mode=plan services=\d`)
			if reply := ask(t, port, "my-nginx.default.svc.cluster.local."); len(reply.Answer) != 1 {
				t.Errorf("got %s", reply)
			}
			if got := strings.Count(p.stdout.String(), "manifests read"); got != test.read {
				t.Errorf("manifests are read %d times, want %d", got, test.read)
			}
			send(t, syscall.SIGTERM)
			p.end(exitOK)
		})
	}
}

// Two in two blocks are one too many: the whole Corefile is refused.
func TestVIPTwice(t *testing.T) {
	t.Parallel()
	var stdout, stderr output
	code := run([]string{"-conf", "stdin"}, strings.NewReader("a {\n vip {\n  mode plan\n }\n}\nb {\n vip {\n  mode plan\n }\n}\n"), &stdout, &stderr)
	const want = "stdin:7: vip: given twice; it speaks for the whole process, and stands in one server block: the first one is at stdin:2"
	if code != exitFailure || !strings.Contains(stderr.String(), want) {
		t.Errorf("exit code %d, stderr %q, want %q", code, stderr.String(), want)
	}
}
