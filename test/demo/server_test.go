package demo

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/test/peer"
)

// demo is the program, serving a copy of the demo.
type demo struct {
	address string
	process *peer.Process
}

const root = "../.."

// copyDemo copies the demo's manifests, which the test may change.
func copyDemo(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "cmd/nameplane/demo"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

var (
	manifestsLine = regexp.MustCompile(`(?m)^(\s*manifests).*$`)
	fixedPort     = regexp.MustCompile(`(?m)^\.:1053 `)
	adminPort     = regexp.MustCompile(`127\.0\.0\.1:(8080|8181|9153)`)
	startLine     = regexp.MustCompile(`(?m)^\.:(\d+)( on .*)?$`)
)

// startDemo runs the program with corefile.example, but on ports that are free and on another folder of manifests.
func startDemo(t *testing.T, manifests string) *demo {
	t.Helper()
	return startDemoWith(t, manifests, func(corefile string) string { return corefile })
}

// startDemoWith is startDemo with a Corefile that edit has changed.
func startDemoWith(t *testing.T, manifests string, edit func(corefile string) string) *demo {
	t.Helper()
	example, err := os.ReadFile(filepath.Join(root, "corefile.example"))
	if err != nil {
		t.Fatal(err)
	}
	text := manifestsLine.ReplaceAllString(string(example), "$1 "+manifests)
	text = fixedPort.ReplaceAllString(text, ". ")
	text = edit(adminPort.ReplaceAllString(text, "127.0.0.1:0"))
	dir := t.TempDir()
	corefile := filepath.Join(dir, "Corefile")
	if err := os.WriteFile(corefile, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	process, err := peer.Start(dir, peer.Nameplane(t), "demo", "-conf", corefile, "-dns.port", "0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(process.Tail(50))
		}
		_ = process.Kill()
	})
	s := &demo{process: process}
	within(t, 20*time.Second, func() error {
		log, err := os.Open(process.Log())
		if err != nil {
			return err
		}
		defer log.Close()
		printed, err := io.ReadAll(log)
		if err != nil {
			return err
		}
		m := startLine.FindSubmatch(printed)
		if m == nil {
			return fmt.Errorf("no line that names the port in %q", printed)
		}
		s.address = "127.0.0.1:" + string(m[1])
		return nil
	})
	return s
}

// within polls until check has no error.
func within(t *testing.T, limit time.Duration, check func() error) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s: %v", limit, err)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

func (s *demo) ask(t *testing.T, name string, qtype uint16) *dns.Msg {
	t.Helper()
	client := dns.Client{Timeout: 5 * time.Second}
	reply, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, qtype), s.address)
	if err != nil {
		t.Fatalf("%s %s: %v", name, dns.TypeToString[qtype], err)
	}
	return reply
}

// TestEditedManifest is the main job as a user sees it: a file is edited, and the next question sees the change.
func TestEditedManifest(t *testing.T) {
	dir := copyDemo(t)
	server := startDemo(t, dir)
	nginx := filepath.Join(dir, "nginx.yaml")
	before, err := os.ReadFile(nginx)
	if err != nil {
		t.Fatal(err)
	}
	is := func(want string) func() error {
		return func() error {
			reply := server.ask(t, "my-nginx.default.svc.cluster.local.", dns.TypeA)
			if len(reply.Answer) != 1 || !strings.HasSuffix(reply.Answer[0].String(), want) {
				return fmt.Errorf("got %v, want %s", reply.Answer, want)
			}
			return nil
		}
	}
	within(t, 5*time.Second, is("\t127.96.191.194"))

	write(t, nginx, strings.Replace(string(before), "clusterIP: 127.96.191.194", "clusterIP: 127.96.191.195", 1))
	within(t, 5*time.Second, is("\t127.96.191.195"))

	write(t, nginx, "kind: Service\n  spec: [")
	write(t, filepath.Join(dir, "new.yaml"), "apiVersion: v1\nkind: Service\nmetadata: {name: fresh}\nspec: {clusterIP: 127.96.77.77}\n")
	within(t, 5*time.Second, func() error {
		if reply := server.ask(t, "fresh.default.svc.cluster.local.", dns.TypeA); len(reply.Answer) != 1 {
			return fmt.Errorf("got %v, want the new service", reply)
		}
		return nil
	})
	if err := is("\t127.96.191.195")(); err != nil {
		t.Errorf("a broken file lost what was loaded: %v", err)
	}

	write(t, nginx, string(before))
	within(t, 5*time.Second, is("\t127.96.191.194"))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestUnreadyPod is the demo's own advice: a pod that is not ready gets no more connections, and the name stays.
func TestUnreadyPod(t *testing.T) {
	onlyLinux(t)
	dir := copyDemo(t)
	server := startDemo(t, dir)
	const url = "http://127.96.191.194:8080/"
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answers := func(want ...string) func() error {
		return func() error {
			seen := map[string]bool{}
			for range 30 {
				name, _, _ := strings.Cut(get(t, client, url), " ")
				seen[name] = true
			}
			if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, want) {
				return fmt.Errorf("connections are answered by %q, want %q", got, want)
			}
			return nil
		}
	}
	const first, second = "my-nginx-5b56ccd65f-4xk8p", "my-nginx-5b56ccd65f-p9w2d"
	within(t, 5*time.Second, answers(first, second))

	nginx := filepath.Join(dir, "nginx.yaml")
	text, err := os.ReadFile(nginx)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.LastIndex(string(text), `status: "True"`)
	write(t, nginx, string(text[:at])+`status: "False"`+string(text[at+len(`status: "True"`):]))
	within(t, 5*time.Second, answers(first))
	if reply := server.ask(t, "my-nginx.default.svc.cluster.local.", dns.TypeA); len(reply.Answer) != 1 {
		t.Errorf("the name is gone: %s", reply)
	}
	write(t, nginx, string(text))
	within(t, 5*time.Second, answers(first, second))
}
