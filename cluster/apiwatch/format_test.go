package apiwatch

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/nameplane/nameplane/cluster"
)

// jsonListed is a list as an API server writes one of a custom resource.
const jsonListed = `{"apiVersion":"x/v1","items":[{"metadata":{"name":"a","namespace":"n"}},{"metadata":{"name":"b"}} , {"metadata":{"name":"c","x":{"y":[1,2]}}}],` +
	`"kind":"List","metadata":{"continue":"","resourceVersion":"10"}}`

func jsonNames(r io.Reader) (version string, list []string, err error) {
	version, err = jsonFormat{}.list(r, func(object []byte) error {
		meta, err := jsonFormat{}.metadata(object)
		list = append(list, meta.name)
		return err
	})
	return version, list, err
}

// However a list comes in pieces it is the same, and wherever it is cut that is an error.
func TestJSONList(t *testing.T) {
	t.Parallel()
	version, list, err := jsonNames(iotest.OneByteReader(strings.NewReader(jsonListed)))
	if err != nil || version != "10" || strings.Join(list, "") != "abc" {
		t.Errorf("byte by byte: %q %q %v", version, list, err)
	}
	for n := range len(jsonListed) {
		if _, _, err := jsonNames(strings.NewReader(jsonListed[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut after %d of %d bytes: %v", n, len(jsonListed), err)
		}
	}
	for _, text := range []string{`[]`, `{"items":{}}`, `{"items":[5]}`, `{"items":[{]}`, `{"metadata":5}`, `<html>`} {
		if _, _, err := jsonNames(strings.NewReader(text)); err == nil {
			t.Errorf("%s is taken for a list", text)
		}
	}
}

func TestJSONListTooBig(t *testing.T) {
	t.Parallel()
	endless := io.MultiReader(strings.NewReader(`{"items":[{"metadata":{"name":"`), zeros{})
	if _, _, err := jsonNames(endless); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("an object without an end: %v", err)
	}
}

// zeros is digits without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

func TestJSONEvents(t *testing.T) {
	t.Parallel()
	const text = `{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"7"}}}` + "\n" +
		`{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"8","annotations":{"k8s.io/initial-events-end":"true"}}}}`
	s := jsonFormat{}.watch(iotest.HalfReader(strings.NewReader(text)))
	for _, want := range []struct {
		kind, version string
		listed        bool
	}{{"ADDED", "7", false}, {"BOOKMARK", "8", true}} {
		e, err := s.next()
		if err != nil {
			t.Fatal(err)
		}
		meta, err := jsonFormat{}.metadata(e.object)
		if err != nil || e.kind != want.kind || meta.version != want.version || meta.listed != want.listed {
			t.Errorf("%s at %q, end of a list %v, %v; want %v", e.kind, meta.version, meta.listed, err, want)
		}
	}
	if _, err := s.next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	for _, text := range []string{`{"type":"ADDED"}`, `{"object":{}}`, `{"type":"ADDED","object":5}`, `5`, `{"type":`} {
		if e, err := (jsonFormat{}.watch(strings.NewReader(text))).next(); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: %v, %v; want an error", text, e, err)
		}
	}
}

func TestJSONRefusal(t *testing.T) {
	t.Parallel()
	r := &refusal{}
	jsonFormat{}.refused(r, []byte(`{"kind":"Status","message":"too old","reason":"Expired","code":410,"details":{"retryAfterSeconds":3,"causes":[{"reason":"ResourceVersionTooLarge"}]}}`))
	if r.code != http.StatusGone || r.reason != "Expired" || r.message != "too old" || r.after != 3*time.Second || !r.tooLarge {
		t.Errorf("%+v", r)
	}
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(jsonListed))
	f.Add([]byte(`{"type":"ADDED","object":{"metadata":{"name":"a"}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, list, err := jsonNames(bytes.NewReader(text)); err == nil && len(list) > len(text) {
			t.Error("more objects than bytes")
		}
		s := jsonFormat{}.watch(bytes.NewReader(text))
		for range len(text) {
			e, err := s.next()
			if err != nil {
				return
			}
			jsonFormat{}.refused(&refusal{}, e.object)
		}
	})
}

// A custom resource that the server does not have is said once, keeps nothing else waiting, and is taken up when it comes.
func TestMissingDefinition(t *testing.T) {
	t.Parallel()
	var installed atomic.Bool
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &reply{w: w, r: r}
		switch {
		case !strings.HasSuffix(r.URL.Path, "/serviceimports"):
			emptyWatch(out)
		case !installed.Load():
			http.NotFound(w, r)
		case r.URL.Query().Get("watch") == "":
			http.Error(w, "not asked for", http.StatusInternalServerError)
		default:
			w.Header().Set("Content-Type", "application/json;stream=watch")
			_, _ = io.WriteString(w, `{"type":"ADDED","object":{"metadata":{"namespace":"n","name":"web","resourceVersion":"2"},"spec":{"type":"ClusterSetIP","ips":["10.0.0.1"],"ports":[{"port":80}]}}}`+
				`{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"3","annotations":{"k8s.io/initial-events-end":"true"}}}}`)
			w.(http.Flusher).Flush()
			out.hang()
		}
	}))
	t.Cleanup(api.Close)
	log := &syncBuffer{}
	opened, err := Open(cluster.Origin{Endpoint: api.URL, QPS: 1000, Burst: 1000}, cluster.Needs{Imports: true}, cluster.Telemetry{}, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	opened.(*source).pace = quickPace()
	store, w := cluster.NewStore()
	ended := make(chan error, 1)
	go func() { ended <- opened.Run(t.Context(), w) }()
	wait := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); !done(); <-time.After(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("no %s: %s\n%s", what, store.Status(), log)
			}
		}
	}
	wait("first list without the definition", store.Synced)
	wait("second request", func() bool { return strings.Contains(log.String(), "no such resource") })
	installed.Store(true)
	key, _ := cluster.ServiceKey("n", "web")
	wait("import", func() bool { return store.Imports().Service([]byte(key)) != nil })
	if n := strings.Count(log.String(), "no such resource"); n != 1 {
		t.Errorf("said %d times, want once:\n%s", n, log)
	}
	if failure := store.Status().Failure; failure != "" {
		t.Errorf("it is called a failure: %s", failure)
	}
}
