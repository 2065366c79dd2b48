package ready

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

// waiting is a handler that may not be ready.
type waiting struct {
	name string
	err  error
}

func (w *waiting) Name() string                                        { return w.name }
func (w *waiting) Ready() error                                        { return w.err }
func (w *waiting) Serve(ctx context.Context, x *plugin.Exchange) error { return x.Next(ctx) }

// newHandler is the handler of a ready directive in front of others, each in a block of its own, started.
func newHandler(t *testing.T, log io.Writer, line string, others ...plugin.Handler) *Handler {
	t.Helper()
	env := block.NewEnv(log)
	built, err := Spec().Build(env, block.Lines(t, ". {\n "+line+"\n}", "ready"))
	if err != nil {
		t.Fatal(err)
	}
	h := built.(*Handler)
	blocks := block.Instance{{Handlers: []plugin.Handler{h}}}
	for _, other := range others {
		blocks = append(blocks, plugin.Block{Handlers: []plugin.Handler{other}})
	}
	env.Instance = blocks
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

// ask is the page's status and text.
func ask(h http.Handler) (status int, text string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func want(t *testing.T, h http.Handler, status int, text string) {
	t.Helper()
	if gotStatus, gotText := ask(h); gotStatus != status || gotText != text {
		t.Errorf("%d %q, want %d %q", gotStatus, gotText, status, text)
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	trouble := errors.New("services are not read")
	first, second := &waiting{"kubernetes", trouble}, &waiting{"kubernetes", trouble}
	file := &waiting{"file", trouble}
	h := newHandler(t, io.Discard, "ready", first, second, file, second)
	want(t, h, http.StatusServiceUnavailable, "file,kubernetes")
	first.err, file.err = nil, nil
	want(t, h, http.StatusServiceUnavailable, "kubernetes") // two of one name are two
	second.err = nil
	want(t, h, http.StatusOK, "OK")
}

func TestMonitor(t *testing.T) {
	t.Parallel()
	trouble := errors.New("the connection is lost")
	for _, test := range []struct {
		name, line, text string
		status           int
	}{
		{name: "until ready by default", line: "ready", status: http.StatusOK, text: "OK"},
		{name: "until ready", line: "ready {\n monitor until-ready\n}", status: http.StatusOK, text: "OK"},
		{name: "continuously", line: "ready {\n monitor continuously\n}", status: http.StatusServiceUnavailable, text: "kubernetes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			other := &waiting{name: "kubernetes"}
			h := newHandler(t, io.Discard, test.line, other)
			want(t, h, http.StatusOK, "OK")
			other.err = trouble
			want(t, h, test.status, test.text)
		})
	}
}

func TestContinuouslyInAnyBlock(t *testing.T) {
	t.Parallel()
	other := &waiting{name: "kubernetes"}
	h := newHandler(t, io.Discard, "ready", &Handler{monitor: continuously}, other)
	want(t, h, http.StatusOK, "OK")
	other.err = errors.New("the connection is lost")
	want(t, h, http.StatusServiceUnavailable, "kubernetes")
}

func TestDrain(t *testing.T) {
	t.Parallel()
	h := newHandler(t, io.Discard, "ready")
	want(t, h, http.StatusOK, "OK")
	h.Drain(t.Context())
	want(t, h, http.StatusServiceUnavailable, "Shutting down")
}

// The page is there before all blocks are built.
func TestNotStarted(t *testing.T) {
	t.Parallel()
	want(t, &Handler{}, http.StatusServiceUnavailable, "Starting")
}

func TestLog(t *testing.T) {
	t.Parallel()
	log := new(block.Buffer)
	other := &waiting{"kubernetes", errors.New("services are not read")}
	h := newHandler(t, log, "ready", other)
	ask(h)
	ask(h)
	other.err = nil
	ask(h)
	ask(h)
	wanted := "[INFO] Waiting for kubernetes: services are not read\n[INFO] Waiting for nothing: all are ready\n"
	if got := log.String(); got != wanted {
		t.Errorf("log is %q, want %q", got, wanted)
	}
}

func TestServePassesOn(t *testing.T) {
	t.Parallel()
	h := newHandler(t, io.Discard, "ready")
	x := block.NewExchange(t, "example.org.", dns.TypeA)
	if err := block.Serve(x, h, block.Reply(dns.RcodeNameError)); err != nil || x.Reply.Rcode() != dns.RcodeNameError {
		t.Errorf("error %v, rcode %d, want what the next one says", err, x.Reply.Rcode())
	}
}

func TestBlocksShareThePage(t *testing.T) {
	t.Parallel()
	env := block.NewEnv(io.Discard)
	for range 2 {
		if _, err := Spec().Build(env, block.Lines(t, ". {\n ready\n}", "ready")); err != nil {
			t.Fatal(err)
		}
	}
	if env.Web.(*block.Web).Page(":8181/ready") == nil {
		t.Error("there is no page")
	}
	if (&Handler{}).Same(http.NotFoundHandler()) {
		t.Error("any page is the same")
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile, want string
	}{
		{name: "twice", corefile: ". {\n ready\n ready\n}", want: "Corefile:3: ready: given twice in a server block; the first one is at Corefile:2"},
		{name: "no port", corefile: ". {\n ready localhost\n}", want: `Corefile:2: ready: "localhost" is not an address; write HOST:PORT or :PORT`},
		{name: "another monitor", corefile: ". {\n ready {\n  monitor continuous\n }\n}", want: `Corefile:3: monitor: "continuous" is none of until-ready, continuously; did you mean "continuously"?`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, test.corefile, "ready"))
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("error is\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

func TestReadme(t *testing.T) {
	t.Parallel()
	block.BuildExamples(t, Spec())
}
