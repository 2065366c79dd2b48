package pprof

import (
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/test/block"
)

func TestPages(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		line     string
		page     string // address and pattern
		path     string
		status   int
		contains string
	}{
		{name: "the list", line: "pprof", page: "localhost:6053/debug/pprof/", path: "/debug/pprof/", status: http.StatusOK, contains: "goroutine"},
		{name: "without its slash", line: "pprof", page: "localhost:6053/debug/pprof", path: "/debug/pprof", status: http.StatusFound},
		{name: "a profile", line: "pprof", page: "localhost:6053/debug/pprof/", path: "/debug/pprof/goroutine?debug=1", status: http.StatusOK, contains: "goroutine profile"},
		{name: "no such profile", line: "pprof", page: "localhost:6053/debug/pprof/", path: "/debug/pprof/nothing", status: http.StatusNotFound},
		{name: "another address", line: "pprof 127.0.0.1:6060", page: "127.0.0.1:6060/debug/pprof/cmdline", path: "/debug/pprof/cmdline", status: http.StatusOK, contains: "pprof.test"},
		{name: "symbols", line: "pprof :6060", page: ":6060/debug/pprof/symbol", path: "/debug/pprof/symbol", status: http.StatusOK, contains: "num_symbols"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			env := block.NewEnv(io.Discard)
			if _, err := Spec().Build(env, block.Lines(t, ". {\n "+test.line+"\n}", "pprof")); err != nil {
				t.Fatal(err)
			}
			page := env.Web.(*block.Web).Page(test.page)
			if page == nil {
				t.Fatalf("%s is not served", test.page)
			}
			w := httptest.NewRecorder()
			page.ServeHTTP(w, httptest.NewRequest(http.MethodGet, test.path, nil))
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.contains) {
				t.Errorf("status %d with %q, want %d with %q", w.Code, w.Body, test.status, test.contains)
			}
			if test.status == http.StatusFound && w.Header().Get("Location") != "/debug/pprof/" {
				t.Errorf("it leads to %q", w.Header().Get("Location"))
			}
		})
	}
}

// The profiles are the process's, whichever server block shows them.
func TestTwoBlocks(t *testing.T) {
	t.Parallel()
	env := block.NewEnv(io.Discard)
	for _, line := range block.Lines(t, "a {\n pprof\n}\nb {\n pprof\n}", "pprof") {
		if _, err := Spec().Build(env, []*corefile.Directive{line}); err != nil {
			t.Fatal(err)
		}
	}
}

// The rate is the process's, so this test runs alone.
func TestBlockRate(t *testing.T) {
	defer runtime.SetBlockProfileRate(0)
	for _, test := range []struct {
		name string
		line string
		want bool // a wait is in the profile
	}{
		{name: "off", line: "pprof"},
		{name: "every wait", line: "pprof {\n block\n}", want: true},
		{name: "a rate", line: "pprof {\n block 10\n}", want: true},
		{name: "off by number", line: "pprof {\n block 0\n}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, ". {\n"+test.line+"\n}", "pprof"))
			if err != nil {
				t.Fatal(err)
			}
			if err := h.(plugin.Starter).Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := waits()
			wait()
			if got := waits() > before; got != test.want {
				t.Errorf("the wait is in the profile: %v, want %v", got, test.want)
			}
		})
	}
}

// wait blocks for long enough to be in any of the profiles.
func wait() {
	var held sync.Mutex
	held.Lock()
	time.AfterFunc(20*time.Millisecond, held.Unlock)
	held.Lock()
	held.Unlock()
}

// waits is the number of waits in the profile that end in wait.
func waits() (n int64) {
	var records []runtime.BlockProfileRecord
	for size := 64; ; size *= 2 {
		records = make([]runtime.BlockProfileRecord, size)
		if count, ok := runtime.BlockProfile(records); ok {
			records = records[:count]
			break
		}
	}
	for _, r := range records {
		frames := runtime.CallersFrames(r.Stack())
		for {
			frame, more := frames.Next()
			if strings.HasSuffix(frame.Function, "pprof.wait") {
				n += r.Count
			}
			if !more {
				break
			}
		}
	}
	return n
}

func TestQueriesPass(t *testing.T) {
	t.Parallel()
	x := block.NewExchange(t, "example.org.", dns.TypeA)
	if err := block.Serve(x, &Handler{}, block.Reply(dns.RcodeSuccess)); err != nil || !x.Reply.Made() {
		t.Errorf("error %v, reply %v", err, x.Reply.Made())
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile, want string
	}{
		{name: "no port", corefile: ". {\n pprof localhost\n}", want: `Corefile:2: pprof: "localhost" is not an address; write HOST:PORT or :PORT`},
		{name: "two addresses", corefile: ". {\n pprof :1 :2\n}", want: `Corefile:2: pprof: wants at most 1 argument, but has 2; write "pprof [HOST:PORT]"`},
		{
			name: "everything wrong", corefile: ". {\n pprof {\n  block fast\n  mutex\n }\n}",
			want: "Corefile:3: block: \"fast\" is not a number of nanoseconds\nCorefile:4: pprof: unknown option \"mutex\" (known options: block)",
		},
		{name: "twice", corefile: ". {\n pprof\n pprof :1\n}", want: "Corefile:3: pprof: given twice in a server block; the first one is at Corefile:2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, test.corefile, "pprof"))
			if err == nil || err.Error() != test.want {
				t.Errorf("error is\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

// Another directive's page at the same place is an error, which names the line.
func TestPlaceTaken(t *testing.T) {
	t.Parallel()
	env := block.NewEnv(io.Discard)
	lines := block.Lines(t, ". {\n pprof :1\n}", "pprof")
	if err := env.Web.Handle(lines[0].Pos, ":1", "/debug/pprof/", http.NotFoundHandler()); err != nil {
		t.Fatal(err)
	}
	if _, err := Spec().Build(env, lines); err == nil || !strings.HasPrefix(err.Error(), "Corefile:2: ") {
		t.Errorf("error is %v, want one of line 2", err)
	}
}

func TestReadme(t *testing.T) {
	t.Parallel()
	block.BuildExamples(t, Spec())
}
