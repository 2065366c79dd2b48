package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

// pageSpec is a directive that serves one path.
func pageSpec(name, addr, path string, h http.Handler) plugin.Spec {
	return plugin.Spec{Name: name, Build: func(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
		return nil, env.Web.Handle(lines[0].Pos, addr, path, h)
	}}
}

// shared is a page that is the same for all blocks.
type shared struct{ http.Handler }

func (shared) Same(http.Handler) bool { return true }

func TestNewReportsEverything(t *testing.T) {
	t.Parallel()
	failing := plugin.Spec{Name: "failing", Build: func(_ *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
		return nil, lines[0].Errorf("cannot be built")
	}}
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{name: "empty file", text: "", want: []string{`Corefile:1: no server block; write at least ".:53 { ... }"`}},
		{
			name: "all at once",
			text: "a:99999 {\n answr x\n failing\n}\nquic://b {\n frobnicate\n}",
			want: []string{
				`Corefile:1: key "a:99999": port 99999 is not from 1 to 65535 (for any free port use -dns.port 0)`,
				`Corefile:2: unknown directive "answr"; did you mean "answer"?`,
				`Corefile:3: failing: cannot be built`,
				`Corefile:5: key "quic://b": the transport quic:// is not built yet; use tls://, or a DNS over QUIC proxy in front of a dns:// port`,
				`Corefile:6: unknown directive "frobnicate"`,
			},
		},
		{
			name: "twice in one block",
			text: "a A. {\n answer x\n}",
			want: []string{"Corefile:1: cannot serve a. on port 53: it is already served at Corefile:1"},
		},
		{
			name: "twice in the file",
			text: "a {\n answer x\n}\nb a:53 {\n answer y\n}",
			want: []string{"Corefile:4: cannot serve a. on port 53: it is already served at Corefile:1"},
		},
		{
			name: "network and its zone",
			text: "10.0.0.0/8 {\n answer x\n}\n10.in-addr.arpa {\n answer y\n}",
			want: []string{"Corefile:4: cannot serve 10.in-addr.arpa. on port 53: it is already served at Corefile:1"},
		},
		{
			name: "bound behind unbound",
			text: "a {\n answer x\n}\na {\n bind 127.0.0.1\n}",
			want: []string{"Corefile:4: cannot serve a. on port 53: 127.0.0.1 and all addresses overlap, the other one is at Corefile:1"},
		},
		{
			name: "unbound behind bound",
			text: "a {\n bind 127.0.0.1 127.0.0.2\n}\na {\n answer x\n}",
			want: []string{"Corefile:4: cannot serve a. on port 53: all addresses and 127.0.0.1 overlap, the other one is at Corefile:1"},
		},
		{
			name: "one address in two spellings",
			text: "a {\n bind ::1\n}\na {\n bind 0:0::0:1\n}",
			want: []string{"Corefile:4: cannot serve a. on port 53: it is already served at Corefile:1"},
		},
		{name: "bound to two addresses", text: "a {\n bind 127.0.0.1\n}\na {\n bind 127.0.0.2\n}"},
		{name: "two ports", text: "a:53 a:54 {\n answer x\n}"},
		{
			name: "two directives on one path",
			text: ". {\n health\n other\n}",
			want: []string{"Corefile:3: other: /x on :8080 is already served by health at Corefile:2"},
		},
		{
			name: "one path twice",
			text: "a {\n health\n}\nb {\n health\n}",
			want: []string{"Corefile:5: health: /x on :8080 is already served by health at Corefile:2"},
		},
		{name: "a shared page", text: "a {\n metrics\n}\nb {\n metrics\n}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := New(parse(t, test.text), Options{Specs: []plugin.Spec{
				bindSpec(), failing, pageSpec("health", ":8080", "/x", http.NotFoundHandler()),
				pageSpec("other", ":8080", "/x", http.NotFoundHandler()),
				pageSpec("metrics", ":9153", "/metrics", shared{http.NotFoundHandler()}), answerSpec(),
			}})
			var got []string
			if err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The chain is in the order of the list, whatever the order in the file; lines of one name come together, and all keys
// of a block share the handlers.
func TestChain(t *testing.T) {
	t.Parallel()
	lines := map[string]int{}
	builds := 0
	spec := func(name string) plugin.Spec {
		return plugin.Spec{Name: name, Build: func(env *plugin.Env, of []*corefile.Directive) (plugin.Handler, error) {
			lines[name] += len(of)
			builds++
			return &double{name: name}, nil
		}}
	}
	s, err := New(parse(t, "a b:54 {\n third\n first\n second\n first\n}"), Options{Specs: []plugin.Spec{spec("first"), spec("second"), spec("third")}})
	if err != nil {
		t.Fatal(err)
	}
	if builds != 3 || lines["first"] != 2 {
		t.Errorf("%d handlers were built, %d lines of first", builds, lines["first"])
	}
	var got []string
	for _, b := range s.made.Blocks() {
		line := b.Server + " " + b.Zone
		for _, h := range b.Handlers {
			line += " " + h.Name()
		}
		got = append(got, line)
	}
	want := []string{"dns://:53 a. first second third", "dns://:54 b. first second third"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What a directive changes in the Env holds for the directives after it; log and web are in each one's name.
func TestEnv(t *testing.T) {
	t.Parallel()
	var servers []string
	var dir string
	root := plugin.Spec{Name: "root", Build: func(env *plugin.Env, _ []*corefile.Directive) (plugin.Handler, error) {
		env.Dir = "/zones"
		return nil, nil
	}}
	look := plugin.Spec{Name: "look", Build: func(env *plugin.Env, _ []*corefile.Directive) (plugin.Handler, error) {
		servers, dir = env.Servers, env.Dir
		return nil, nil
	}}
	_, err := New(parse(t, "a b:54 10.0.0.0/15 {\n look\n root\n bind 127.0.0.1 ::1\n}"), Options{Specs: []plugin.Spec{root, bindSpec(), look}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"dns://127.0.0.1:53", "dns://[::1]:53", "dns://127.0.0.1:54", "dns://[::1]:54"}
	if diff := cmp.Diff(want, servers); diff != "" {
		t.Error(diff)
	}
	if dir != "/zones" {
		t.Errorf("Dir is %q", dir)
	}
}

// A handler that was built for a file that is not good must give back what it took.
func TestFailedBuildCloses(t *testing.T) {
	t.Parallel()
	closed := 0
	d := &double{name: "lease", closed: func() error { closed++; return nil }}
	if _, err := New(parse(t, ". {\n lease\n nonsense\n}"), Options{Specs: []plugin.Spec{d.spec()}}); err == nil {
		t.Fatal("no error")
	}
	if closed != 1 {
		t.Errorf("closed %d times", closed)
	}
}
