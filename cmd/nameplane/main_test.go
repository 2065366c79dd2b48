package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/server"
)

// output is what a program printed; it may be read while it is written.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "Corefile")
	if err := os.WriteFile(bad, []byte(". {\n whoamy\n}\ngrpc://a {\n}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name           string
		args           []string
		stdin          string
		code           int
		stdout, stderr string // regular expressions
	}{
		{name: "version", args: []string{"-version"}, stdout: `^Nameplane-\S+\n\w+/\w+, go1\.\S+, \S+\n$`},
		{name: "plugins", args: []string{"-plugins"}, stdout: `(?s)^Directives.*\n  errors +prints.*\n  kubernetes +.*\n  whoami +`},
		{name: "help", args: []string{"-h"}, stderr: `-dns.port`},
		{name: "unknown flag", args: []string{"-frobnicate"}, code: 2, stderr: `not defined: -frobnicate`},
		{name: "extra argument", args: []string{"-quiet", "Corefile"}, code: 2, stderr: `^extra command line arguments: \["Corefile"\]\n$`},
		{name: "port out of range", args: []string{"-p", "65536"}, code: 2, stderr: `^-dns.port: a number from 0 to 65535 is wanted\n$`},
		{name: "form of the log", args: []string{"-log-format", "xml"}, code: 2, stderr: `^-log-format: "xml" is neither text nor json\n$`},
		{name: "NodeLocal's flags", args: []string{"-initialdelay", "5", "-conf", filepath.Join(dir, "none"), "-upstreamsvc", "kube-dns-upstream", "-setupiptables=false"},
			code: 1, stdout: `^\[WARNING\] without effect: -initialdelay, -setupiptables, -upstreamsvc; `, stderr: `^-conf: open `},
		{name: "no such file", args: []string{"-conf", filepath.Join(dir, "none")}, code: 1, stderr: `^-conf: open .*none: no such file`},
		{name: "all that is wrong", args: []string{"-conf", bad}, code: 1, stderr: `Corefile:2: unknown directive "whoamy"; did you mean "whoami"\?\n.*Corefile:4: key "grpc://a": .* not built yet`},
		{name: "standard input", args: []string{"-conf", "stdin"}, stdin: ".:99999 {\n}", code: 1, stderr: `^stdin:1: key ".:99999"`},
		{name: "syntax", args: []string{"-conf", "stdin"}, stdin: ". {", code: 1, stderr: `^stdin:1: `},
		{name: "nothing to serve", args: []string{"-conf", "stdin"}, code: 1, stderr: `^stdin:1: no server block`},
		{name: "pidfile", args: []string{"-conf", "stdin", "-p", "0", "-pidfile", filepath.Join(dir, "no", "pid")}, stdin: ". {\n whoami\n}\n", code: 1, stderr: `^-pidfile: `},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr output
			if code := run(test.args, strings.NewReader(test.stdin), &stdout, &stderr); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			for _, stream := range []struct{ name, got, want string }{{"stdout", stdout.String(), test.stdout}, {"stderr", stderr.String(), test.stderr}} {
				if !regexp.MustCompile(stream.want).MatchString(stream.got) || stream.want == "" && stream.got != "" {
					t.Errorf("%s is %q, want %q", stream.name, stream.got, stream.want)
				}
			}
		})
	}
}

// program is the program under way.
type program struct {
	t      *testing.T
	stdout output
	stderr output
	code   chan int
}

func launch(t *testing.T, stdin string, args ...string) *program {
	p := &program{t: t, code: make(chan int, 1)}
	go func() { p.code <- run(args, strings.NewReader(stdin), &p.stdout, &p.stderr) }()
	return p
}

// await waits for a line of standard output, and returns what its group holds.
func (p *program) await(pattern string) string {
	p.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; <-time.After(5 * time.Millisecond) {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(p.stdout.String()); m != nil {
			return m[len(m)-1]
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("stdout is %q, stderr %q, want %q", p.stdout.String(), p.stderr.String(), pattern)
		}
	}
}

// end waits for the exit code.
func (p *program) end(want int) {
	p.t.Helper()
	select {
	case got := <-p.code:
		if got != want {
			p.t.Errorf("exit code %d, want %d; stderr %q", got, want, p.stderr.String())
		}
	case <-time.After(20 * time.Second):
		p.t.Fatal("it does not end")
	}
}

func send(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), s); err != nil {
		t.Fatal(err)
	}
}

func ask(t *testing.T, port, name string) *dns.Msg {
	t.Helper()
	client := dns.Client{Timeout: 5 * time.Second}
	got, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA), "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// From the start lines to the exit, on a port that the program chose: SIGHUP is nothing, SIGTERM the end.
func TestServe(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "pid")
	p := launch(t, ". {\n bind 127.0.0.1\n whoami\n log\n}\n", "-conf", "stdin", "-dns.port", "0", "-pidfile", pidfile)
	port := p.await(`^\.:(\d+) on 127\.0\.0\.1\nNameplane-\S+\n\w+/\w+, go\S+, \S+\n`)
	if got := ask(t, port, "a.example."); len(got.Extra) == 0 {
		t.Errorf("whoami said %s", got)
	}
	p.await(`\[INFO\] 127\.0\.0\.1:\d+ - \d+ "A IN a\.example\. udp `)
	if text, err := os.ReadFile(pidfile); err != nil || strings.TrimSpace(string(text)) != strconv.Itoa(os.Getpid()) {
		t.Errorf("pidfile: %q %v", text, err)
	}
	send(t, syscall.SIGHUP)
	ask(t, port, "b.example.")
	send(t, syscall.SIGTERM)
	p.end(exitOK)
	if _, err := os.Stat(pidfile); err == nil {
		t.Error("the pidfile is still there")
	}
}

// While it drains it answers; a second signal ends it at once.
func TestSecondSignal(t *testing.T) {
	page, err := server.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := launch(t, fmt.Sprintf(". {\n bind 127.0.0.1\n whoami\n health 127.0.0.1:%d {\n  lameduck 1h\n }\n}\n", page), "-conf", "stdin", "-p", "0")
	port := p.await(`\.:(\d+) on 127\.0\.0\.1\nNameplane-`)
	send(t, syscall.SIGTERM)
	p.await(`lameduck`)
	ask(t, port, "a.example.")
	send(t, syscall.SIGTERM)
	p.end(exitUsage)
}

// What -quiet leaves out are the start lines; the log goes on.
func TestQuiet(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "pid")
	p := launch(t, ". {\n bind 127.0.0.1\n whoami\n}\n", "-conf", "stdin", "-p", "0", "-quiet", "-pidfile", pidfile)
	for deadline := time.Now().Add(10 * time.Second); ; <-time.After(5 * time.Millisecond) {
		if _, err := os.Stat(pidfile); err == nil { // signals are taken before it is written
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no pidfile; stderr %q", p.stderr.String())
		}
	}
	send(t, syscall.SIGINT)
	p.end(exitOK)
	if got := p.stdout.String(); got != "" && got != "[INFO] draining\n" {
		t.Errorf("printed %q", got)
	}
}

// Where there is no Corefile, whoami and log are served, as by CoreDNS.
func TestWithoutCorefile(t *testing.T) {
	t.Chdir(t.TempDir())
	p := launch(t, "", "-p", "0")
	port := p.await(`^\.:(\d+)\nNameplane-`)
	if got := ask(t, port, "a.example."); len(got.Extra) == 0 {
		t.Errorf("whoami said %s", got)
	}
	p.await(`"A IN a\.example\. udp `)
	send(t, syscall.SIGINT)
	p.end(exitOK)
}

// The program answers from manifests, and its metrics tell what it holds.
func TestManifests(t *testing.T) {
	folder, err := filepath.Abs("demo")
	if err != nil {
		t.Fatal(err)
	}
	p := launch(t, fmt.Sprintf(". {\n bind 127.0.0.1\n kubernetes cluster.local {\n  manifests %s\n }\n}\n", folder), "-conf", "stdin", "-p", "0")
	port := p.await(`\.:(\d+) on 127\.0\.0\.1\nNameplane-`)
	got := ask(t, port, "my-nginx.default.svc.cluster.local.")
	if len(got.Answer) != 1 || !strings.HasSuffix(got.Answer[0].String(), "127.96.191.194") {
		t.Errorf("%s", got)
	}
	send(t, syscall.SIGTERM)
	p.end(exitOK)
}

// SIGUSR1 reads the Corefile again, with what it imports; a bad one changes nothing, and all its errors are printed.
func TestReloadSignal(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "Corefile")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("Corefile", ". {\n bind 127.0.0.1\n whoami\n}\nimport *.server\n")
	p := launch(t, "", "-conf", conf, "-p", "0")
	port := p.await(`\.:(\d+) on 127\.0\.0\.1\nNameplane-`)
	rcode := func(name string) int { return ask(t, port, name).Rcode }

	write("a.server", "kubernetes.example {\n bind 127.0.0.1\n acl {\n  block\n }\n whoami\n}\n")
	send(t, syscall.SIGUSR1)
	p.await(`kubernetes\.example\.:\d+ on 127\.0\.0\.1\n(?s:.*)\[INFO\] reloaded`)
	if got := rcode("a.kubernetes.example."); got != dns.RcodeRefused {
		t.Errorf("rcode %d, want what the imported file says", got)
	}

	write("b.server", "b.example {\n whoamy\n healht\n}\n")
	send(t, syscall.SIGUSR1)
	p.await(`b\.server:2: unknown directive "whoamy"; did you mean "whoami"\?\n\[ERROR\] plugin/reload: \S+b\.server:3: unknown directive "healht".*\n\[ERROR\] .* problems=2\n`)
	if got := rcode("a.kubernetes.example."); got != dns.RcodeRefused {
		t.Errorf("rcode %d, want the old instance's", got)
	}
	send(t, syscall.SIGTERM)
	p.end(exitOK)
}

// A server that is its own upstream finds that out, lives on, and asks the other upstream; where there is none it says so
// at once (design, D11).
func TestLoop(t *testing.T) {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	upstream := &dns.Server{PacketConn: socket, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		if err := w.WriteMsg(new(dns.Msg).SetRcode(m, dns.RcodeNameError)); err != nil {
			t.Error(err)
		}
	})}
	served := make(chan error, 1)
	go func() { served <- upstream.ActivateAndServe() }()
	defer func() {
		socket.Close()
		<-served
	}()
	own, err := server.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(". {\n bind 127.0.0.1\n loop\n forward . 127.0.0.1:%d %s {\n  policy sequential\n }\n}\n"+
		"alone {\n bind 127.0.0.1\n loop\n forward . 127.0.0.1:%d\n}\n", own, socket.LocalAddr(), own)
	p := launch(t, text, "-conf", "stdin", "-p", fmt.Sprint(own))
	for _, zone := range []string{`\.`, `alone\.`} {
		p.await(fmt.Sprintf(`\[ERROR\] plugin/loop: Loop \(127\.0\.0\.1:%d -> 127\.0\.0\.1:\d+ -> 127\.0\.0\.1:%d\) detected for zone "%s"`, own, own, zone))
	}
	for name, want := range map[string]int{"a.example.": dns.RcodeNameError, "a.alone.": dns.RcodeServerFailure} {
		start := time.Now()
		if got := ask(t, fmt.Sprint(own), name); got.Rcode != want || time.Since(start) > 2*time.Second {
			t.Errorf("%s: rcode %d after %s, want %d at once", name, got.Rcode, time.Since(start), want)
		}
	}
	send(t, syscall.SIGTERM)
	p.end(exitOK)
}

// -log-format json prints an object a line, from the first one on.
func TestJSON(t *testing.T) {
	p := launch(t, ". {\n bind 127.0.0.1\n whoami\n log\n health 127.0.0.1:0 {\n  lameduck 1ms\n }\n}\n", "-conf", "stdin", "-p", "0", "-log-format", "json")
	port := p.await(`"msg":"\.:(\d+) on 127\.0\.0\.1"}\n(?s:.*)"msg":"Nameplane-`)
	ask(t, port, "a.example.")
	send(t, syscall.SIGTERM)
	p.end(exitOK)
	type record struct{ Level, Msg, Plugin string }
	want := map[string]bool{"draining": false, "lameduck of health": false, "a query": false}
	for line := range strings.Lines(p.stdout.String()) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Level != "INFO" {
			t.Errorf("%v: %q", err, line)
		}
		want["draining"] = want["draining"] || r.Msg == "draining" && r.Plugin == ""
		want["lameduck of health"] = want["lameduck of health"] || strings.Contains(r.Msg, "lameduck") && r.Plugin == "health"
		want["a query"] = want["a query"] || strings.Contains(r.Msg, `"A IN a.example. udp `)
	}
	for what, said := range want {
		if !said {
			t.Errorf("%s is not told of in\n%s", what, p.stdout.String())
		}
	}
}
