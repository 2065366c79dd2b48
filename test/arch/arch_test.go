package arch

import (
	"go/doc/comment"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const top = "../.."

func tree(t *testing.T) []*source {
	t.Helper()
	list, err := sources(top)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 100 {
		t.Fatalf("only %d files were found", len(list))
	}
	return list
}

func TestRules(t *testing.T) {
	t.Parallel()
	files := tree(t)
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			for _, s := range files {
				for _, what := range r.breaks(s) {
					t.Errorf("%s\n%s", what, r.reason)
				}
			}
		})
	}
}

// Each rule finds what it is for, and nothing else.
func TestRulesFind(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ rule, file, text, want string }{
		{rule: "imports", file: "server/wire/a.go", text: "package wire\nimport _ \"net\"", want: "server/wire/a.go imports net: "},
		{rule: "imports", file: "server/wire/a.go", text: "package wire\nimport _ \"net/netip\""},
		{rule: "imports", file: "server/a.go", text: "package server\nimport _ \"" + module + "/plugin/log\"", want: "imports " + module + "/plugin/log: the server assembles"},
		{rule: "imports", file: "server/a.go", text: "package server\nimport _ \"" + module + "/cluster\"", want: "imports"},
		{rule: "imports", file: "plugin/log/a.go", text: "package log\nimport _ \"" + module + "/plugin/errors\"", want: "a directive never imports another"},
		{rule: "imports", file: "plugin/log/a.go", text: "package log\nimport _ \"" + module + "/plugin\""},
		{rule: "imports", file: "plugin/kubernetes/a.go", text: "package kubernetes\nimport _ \"k8s.io/client-go/rest\"", want: "imports k8s.io/client-go/rest"},
		{rule: "imports", file: "plugin/vip/plan/a.go", text: "package plan\nimport _ \"" + module + "/plugin/vip/relay\""},
		{rule: "imports", file: "cluster/a.go", text: "package cluster\nimport _ \"k8s.io/api/core/v1\"", want: "imports"},
		{rule: "imports", file: "cluster/manifest/a.go", text: "package manifest\nimport _ \"k8s.io/client-go/rest\"", want: "imports"},
		{rule: "imports", file: "cluster/apiwatch/a.go", text: "package apiwatch\nimport _ \"k8s.io/client-go/rest\""},
		{rule: "imports", file: "cluster/apiwatch/a.go", text: "package apiwatch\nimport _ \"" + module + "/plugin\"", want: "imports"},
		{rule: "imports", file: "plugin/a.go", text: "package plugin\nimport _ \"" + module + "/test/block\"", want: "imports"},
		{rule: "imports", file: "elsewhere/a.go", text: "package elsewhere\nimport _ \"os\"", want: "no rule speaks of this folder"},
		{rule: "no init", file: "a.go", text: "package a\nfunc init() {}", want: "a.go:2"},
		{rule: "no init", file: "a.go", text: "package a\ntype t int\nfunc (t) init() {}"},
		{rule: "no blank import", file: "a.go", text: "package a\nimport _ \"embed\"", want: "a.go:2"},
		{rule: "no blank import", file: "a.go", text: "package main\nimport _ \"embed\""},
		{rule: "no sleeping test", file: "a_test.go", text: "package a\nimport \"time\"\nfunc f() { time.Sleep(1) }", want: "a_test.go:3 uses time.Sleep"},
		{rule: "no sleeping test", file: "a.go", text: "package a\nimport \"time\"\nfunc f() { time.Sleep(1) }"},
		{rule: "short file", file: "a.go", text: "package a\n" + strings.Repeat("\n", 500), want: "a.go has 502 lines"},
		{rule: "short file", file: "a.go", text: "package a\n" + strings.Repeat("\n", 498)},
		{rule: "short function", file: "a.go", text: "package a\nfunc f() {" + strings.Repeat("\n", 71) + "}", want: "a.go:2: f has 71 lines"},
		{rule: "no exit", file: "a.go", text: "package a\nimport \"os\"\nfunc f() { os.Exit(1) }", want: "a.go:3 uses os.Exit"},
		{rule: "no exit", file: "a.go", text: "package main\nimport \"os\"\nfunc f() { os.Exit(1) }"},
		{rule: "no global logger", file: "a.go", text: "package a\nimport \"log/slog\"\nfunc f() { slog.Info(\"\") }", want: "a.go:3 uses slog.Info"},
		{rule: "no global logger", file: "a.go", text: "package a\nimport \"log/slog\"\nfunc f(l *slog.Logger) { l.Info(\"\") }"},
		{rule: "no state in packages", file: "a.go", text: "package a\nvar n int", want: "a.go:2 declares n without a value"},
		{rule: "no state in packages", file: "a.go", text: "package a\nvar n = 1\nfunc f() { n++ }", want: "a.go:3 changes n"},
		{rule: "no state in packages", file: "a.go", text: "package a\nvar m = map[int]int{}\nfunc f() { m[1] = 2 }", want: "a.go:3 changes m"},
		{rule: "no state in packages", file: "a.go", text: "package a\nvar n = 1\nfunc f() { n := 2; n++; _ = n }"},
		{rule: "nothing left to do", file: "a.go", text: "package a\n// TO" + "DO: more", want: "a.go:2 says TO" + "DO"},
		{rule: "folder names", file: "server/util/a.go", text: "package util", want: "server/util/a.go"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			t.Parallel()
			s, err := parse(test.file, test.text+"\n")
			if err != nil {
				t.Fatal(err)
			}
			at := slices.IndexFunc(rules(), func(r rule) bool { return r.name == test.rule })
			got := strings.Join(rules()[at].breaks(s), "\n")
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("%q in\n%s\nwant %q", got, test.text, test.want)
			}
		})
	}
}

// Every package says what it is for, and why it is so; one sentence of a line is not enough for that.
func TestPackageComments(t *testing.T) {
	t.Parallel()
	texts := map[string]string{}
	for _, s := range tree(t) {
		if s.isTest() {
			continue
		}
		texts[s.folder] += s.file.Doc.Text()
	}
	for folder, text := range texts {
		begin := "Package " + filepath.Base(folder) + " "
		if strings.HasPrefix(folder, "cmd/") {
			begin = "Command " + filepath.Base(folder) + " "
		}
		if strings.HasPrefix(folder, "test/") {
			if text == "" {
				t.Errorf("%s: no package comment", folder)
			}
			continue
		}
		if !strings.HasPrefix(text, begin) || len(text) < 100 {
			t.Errorf("%s: the package comment is %q, want %q and what it is for", folder, text, begin+"...")
		}
		if len(new(comment.Parser).Parse(text).Content) == 0 {
			t.Errorf("%s: the package comment is empty", folder)
		}
	}
}

// The top level is fixed: a reader finds a thing in the one place where it can be.
func TestTopLevel(t *testing.T) {
	t.Parallel()
	allowed := []string{
		"cmd", "cluster", "plugin", "server", "deploy", "test", "corefile.example", "go.mod", "go.sum", "Makefile",
		"README.md", "LICENSE", "CHANGELOG.md", "nameplane", // the last one is what make build leaves
	}
	entries, err := os.ReadDir(top)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(allowed, e.Name()) {
			t.Errorf("%s at the top level: it belongs below one of %v", e.Name(), allowed)
		}
	}
}

// Every dependency is code that we answer for.
func TestModules(t *testing.T) {
	t.Parallel()
	allowed := []string{
		"github.com/coredns/caddy", "github.com/expr-lang/expr", "github.com/fsnotify/fsnotify", "github.com/google/go-cmp", "github.com/miekg/dns",
		"github.com/prometheus/client_golang", "github.com/vishvananda/netlink", "golang.org/x/sync", "golang.org/x/sys", "k8s.io/api", "k8s.io/apimachinery",
		"k8s.io/client-go", "sigs.k8s.io/knftables", "sigs.k8s.io/yaml",
	}
	text, err := os.ReadFile(filepath.Join(top, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		name, _, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "require ")), " v")
		direct := strings.Contains(line, " v") && !strings.Contains(line, "// indirect")
		if direct && !slices.Contains(allowed, name) {
			t.Errorf("go.mod requires %s: one of the standard library, or of %v, does it", name, allowed)
		}
	}
}
