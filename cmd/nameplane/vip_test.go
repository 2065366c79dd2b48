package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// vipCorefile forwards the services of the demo that have the label.
func vipCorefile(t *testing.T, more string) string {
	t.Helper()
	demo, err := filepath.Abs("demo")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(". {\n kubernetes cluster.local {\n  manifests %s\n  service_cidr 127.96.0.0/16\n }\n vip {\n  mode plan\n  %s\n }\n}\n", demo, more)
}

func TestVIPCommands(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name           string
		args           []string
		stdin          string
		code           int
		stdout, stderr string // regular expressions
	}{
		{name: "plan", args: []string{"plan", "-conf", "stdin"}, stdin: vipCorefile(t, ""), stdout: `^SERVICE +PORT +KIND +ADDRESS +INSIDE +OUTSIDE +OPTIONS\ndefault/my-nginx +- +ClusterIP +127\.96\.191\.194:8080/tcp +2 backends +-\n(.*\n){3}$`},
		{name: "plan of all", args: []string{"-conf", "stdin", "plan"}, stdin: vipCorefile(t, "services all"), stdout: `\nkube-system/kube-dns +dns +ClusterIP +127\.96\.0\.10:53/udp +2 backends `},
		{name: "what is refused", args: []string{"plan", "-conf", "stdin"}, stdin: vipCorefile(t, "services all"), stdout: `\nNot served:\n  prod/shop  cluster IP fd00:10:96::78:7: it is outside of the service CIDRs`},
		{name: "explain", args: []string{"explain", "-conf", "stdin", "127.96.191.194:8080"}, stdin: vipCorefile(t, ""), stdout: `^127\.96\.191\.194:8080/tcp from any pod: forward to 2 endpoints\n(?s:.*)50\.0%  127\.244\.2\.55:8080  node-2  zone-b  ready\n$`},
		{name: "flags behind", args: []string{"explain", "127.96.191.194:8080/tcp", "-from", "127.0.0.1", "-conf", "stdin"}, stdin: vipCorefile(t, ""), stdout: `^127\.96\.191\.194:8080/tcp from 127\.0\.0\.1 \(this node\): forward `},
		{name: "explain a reject", args: []string{"explain", "-conf", "stdin", "127.96.140.1:80"}, stdin: vipCorefile(t, ""), code: 3, stdout: `: reject\n(?s:.*)no endpoint can be used`},
		{name: "explain what is nobody's", args: []string{"explain", "-conf", "stdin", "192.0.2.1:80"}, stdin: vipCorefile(t, ""), code: 3, stdout: `: not forwarded\n`},
		{name: "explain for others", args: []string{"explain", "-conf", "stdin", "127.96.191.194:8080", "-from", "192.0.2.1"}, stdin: vipCorefile(t, ""), code: 3, stdout: `: drop\n(?s:.*)cluster IPs answer only pods`},
		{name: "help", args: []string{"-h"}, stderr: `^nameplane vip shows (?s:.*)Exit codes: 0 (?s:.*)-timeout`},
		{name: "no word", code: 2, stderr: `^nameplane vip: one of plan, explain, cleanup is wanted`},
		{name: "a slip", args: []string{"pln"}, code: 2, stderr: `did you mean "plan"\?`},
		{name: "a word too many", args: []string{"plan", "x"}, code: 2, stderr: `what is meant by "plan x"; did you mean "plan"\? \(`},
		{name: "explain what", args: []string{"explain"}, code: 2, stderr: `one ADDR:PORT/PROTO is wanted`},
		{name: "no port", args: []string{"explain", "10.96.0.1"}, code: 2, stderr: `^"10\.96\.0\.1": no address and port; want ADDR:PORT/PROTO`},
		{name: "no address", args: []string{"explain", "10.96.0.1:80", "-from", "pod"}, code: 2, stderr: `^-from: "pod" is not an address\n$`},
		{name: "unknown flag", args: []string{"plan", "-frm"}, code: 2, stderr: `not defined: -frm`},
		{name: "no such file", args: []string{"plan", "-conf", "none"}, code: 1, stderr: `^-conf: open none: no such file`},
		{name: "no vip", args: []string{"plan", "-conf", "stdin"}, stdin: ". {\n whoami\n}\n", code: 1, stderr: `^stdin: no directive vip stands there`},
		{name: "a bad Corefile", args: []string{"plan", "-conf", "stdin"}, stdin: vipCorefile(t, "nod x"), code: 1, stderr: `^stdin:8: vip: unknown option "nod"; did you mean "node"\?`},
		{name: "a source that does not answer", args: []string{"plan", "-timeout", "50ms", "-conf", "stdin"}, code: 1,
			stdin:  ". {\n vip {\n  mode plan\n  endpoint http://127.0.0.1:1\n }\n}\n",
			stderr: `the services were not listed within 50ms \(-timeout\): http://127\.0\.0\.1:1`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr output
			if code := run(append([]string{"vip"}, test.args...), strings.NewReader(test.stdin), &stdout, &stderr); code != test.code {
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

// The README of vip shows what explain prints.
func TestVIPReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../plugin/vip/README.md")
	if err != nil {
		t.Fatal(err)
	}
	const command = "$ nameplane vip explain -conf corefile.example 127.96.191.194:8080/tcp\n"
	_, shown, found := strings.Cut(string(readme), command)
	shown, _, closed := strings.Cut(shown, "~~~")
	if !found || !closed {
		t.Fatalf("README.md does not show %q", command)
	}
	var stdout, stderr output
	if code := run([]string{"vip", "explain", "-conf", "../../corefile.example", "127.96.191.194:8080/tcp"}, nil, &stdout, &stderr); code != 0 || stdout.String() != shown {
		t.Errorf("exit code %d, printed\n%s%s\nREADME.md says\n%s", code, stdout.String(), stderr.String(), shown)
	}
}

// nameplane demo plays pods of manifests, and of nothing else.
func TestDemoCommand(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, stdin, stderr string }{
		{name: "no cluster", stdin: ". {\n whoami\n}\n", stderr: `^stdin: nameplane demo plays the pods of the directive kubernetes, which does not stand there\n$`},
		{name: "a real one", stdin: ". {\n kubernetes cluster.local {\n  endpoint http://127.0.0.1:1\n }\n}\n", stderr: `^stdin:2: kubernetes: nameplane demo plays the pods of manifests; a cluster has its own\n$`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr output
			if code := run([]string{"demo", "-conf", "stdin"}, strings.NewReader(test.stdin), &stdout, &stderr); code != exitFailure || !regexp.MustCompile(test.stderr).MatchString(stderr.String()) {
				t.Errorf("exit code %d, stderr %q", code, stderr.String())
			}
		})
	}
}
