package apiwatch

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nameplane/nameplane/cluster"
)

// Not parallel: it looks for goroutines of this package and of HTTP connections.
func TestRunLeavesNoGoroutine(t *testing.T) {
	for _, tt := range []struct {
		name       string
		start      func(*fakeAPI)
		connection string // part of the stack of a connection's goroutine
	}{
		{name: "HTTP/1.1", start: func(f *fakeAPI) { f.Start() }, connection: "(*persistConn).readLoop"},
		{name: "HTTP/2", start: func(f *fakeAPI) { f.EnableHTTP2 = true; f.StartTLS() }, connection: "ClientConn).readLoop"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			api := &fakeAPI{script: []answer{begin((*reply).hang)}}
			api.Server = httptest.NewUnstartedServer(api)
			tt.start(api)
			t.Cleanup(api.Close)
			origin := cluster.Origin{Endpoint: api.URL}
			if certificate := api.Certificate(); certificate != nil {
				origin.CAFile = filepath.Join(t.TempDir(), "ca.crt")
				if err := os.WriteFile(origin.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r := start(t, origin, cluster.Telemetry{}, quickPace())
			await(t, "synced", r.store.Synced)
			if stacks := goroutines(); !strings.Contains(stacks, "(*follower).run") || !strings.Contains(stacks, tt.connection) {
				t.Fatalf("this test does not see what runs:\n%s", stacks)
			}
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			if stacks := goroutines(); strings.Contains(stacks, "(*follower)") {
				t.Errorf("after Run:\n%s", stacks)
			}
			await(t, "the end of connections", func() bool { return !strings.Contains(goroutines(), tt.connection) })
		})
	}
}

func goroutines() string {
	b := make([]byte, 1<<20)
	return string(b[:runtime.Stack(b, true)])
}

// What CoreDNS's metrics rest_client_requests_total{code,method,host} and the like are made of.
func TestTelemetry(t *testing.T) {
	t.Parallel()
	api := newFakeAPI(t, func(w *reply) { w.refuse(http.StatusForbidden, metav1.StatusReasonForbidden, "no") }, (*reply).cut, begin((*reply).hang))
	var mu sync.Mutex
	requests, limited := map[string]int{}, map[string]int{}
	r := start(t, cluster.Origin{Endpoint: api.URL}, cluster.Telemetry{
		Request: func(verb, host, code string, d time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			if d <= 0 {
				t.Errorf("a request took %s", d)
			}
			requests[verb+" "+host+" "+code]++
		},
		Limited: func(verb, host string, _ time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			limited[verb+" "+host]++
		},
	}, quickPace())
	await(t, "synced", r.store.Synced)
	host := strings.TrimPrefix(api.URL, "http://")
	mu.Lock()
	defer mu.Unlock()
	// net/http itself may repeat a request whose connection was cut before an answer.
	if requests["GET "+host+" 403"] != 1 || requests["GET "+host+" <error>"] > 1 || requests["GET "+host+" 200"] != 2 || limited["GET "+host] < 3 {
		t.Errorf("requests %v, limited %v", requests, limited)
	}
}

func TestRequestsSayWhoAsks(t *testing.T) {
	t.Parallel()
	api := newFakeAPI(t, begin((*reply).hang))
	r := start(t, cluster.Origin{Endpoint: api.URL, Labels: "app=web"}, cluster.Telemetry{}, quickPace())
	await(t, "synced", r.store.Synced)
	api.mu.Lock()
	defer api.mu.Unlock()
	request := api.requests[0]
	if got, want := request.UserAgent(), fmt.Sprintf("nameplane/dev (%s/%s)", runtime.GOOS, runtime.GOARCH); got != want {
		t.Errorf("user agent %q, want %q", got, want)
	}
	if got := request.Header.Get("Accept"); !strings.HasPrefix(got, "application/vnd.kubernetes.protobuf,") {
		t.Errorf("accept %q, want protobuf first", got)
	}
	if got := request.URL.Query().Get("labelSelector"); got != "app=web" {
		t.Errorf("labelSelector %q", got)
	}
}

// design.md, difference D8: the limits that the operator wrote count.
func TestLimits(t *testing.T) {
	t.Parallel()
	t.Run("requests a second", func(t *testing.T) {
		t.Parallel()
		api := newFakeAPI(t, func(w *reply) { w.w.WriteHeader(http.StatusInternalServerError) })
		began := time.Now()
		start(t, cluster.Origin{Endpoint: api.URL, QPS: 20, Burst: 2}, cluster.Telemetry{}, pace{
			first: time.Millisecond, last: time.Millisecond, answer: time.Second, listing: time.Second, silence: time.Second,
		})
		await(t, "five requests", func() bool { return len(api.asked()) >= 5 })
		if took, allowed := time.Since(began), 2+20*time.Since(began).Seconds()+1; float64(len(api.asked())) > allowed {
			t.Errorf("%d requests in %s with 20 a second", len(api.asked()), took)
		}
	})
	t.Run("requests at a time, with watches after lists", func(t *testing.T) {
		t.Parallel()
		api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { plainly(&reply{w: w, r: r}) }))
		t.Cleanup(api.Close)
		p := quickPace()
		p.silence = time.Minute // else a watch would end, and make room, before this test does
		r := start(t, cluster.Origin{Endpoint: api.URL, MaxInflight: 1}, cluster.Telemetry{}, p)
		await(t, "every kind in spite of watches that stay open", r.store.Synced)
	})
	t.Run("requests at a time", func(t *testing.T) {
		t.Parallel()
		var now, most atomic.Int32
		api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n := now.Add(1)
			for most.Load() < n {
				most.Store(n)
			}
			<-time.After(20 * time.Millisecond)
			now.Add(-1)
			emptyWatch(&reply{w: w, r: r})
		}))
		t.Cleanup(api.Close)
		r := start(t, cluster.Origin{Endpoint: api.URL, MaxInflight: 1}, cluster.Telemetry{}, quickPace())
		await(t, "every kind in spite of watches that stay open", r.store.Synced)
		if most.Load() != 1 {
			t.Errorf("%d lists at a time, want 1", most.Load())
		}
	})
}

// A service account's token, or an authority, that is replaced on disk is taken up without a restart.
func TestCredentialsAreReadAgain(t *testing.T) {
	t.Parallel()
	var good atomic.Bool
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &reply{w: w, r: r}
		if r.Header.Get("Authorization") != "Bearer new" || !good.Load() {
			out.refuse(http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "Unauthorized")
			return
		}
		emptyWatch(out)
	}))
	t.Cleanup(api.Close)
	good.Store(true)
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw}))
	wrong, _ := keyPair(t)
	write("ca.crt", wrong)
	write("token", "old")
	write("config", fmt.Sprintf(`
apiVersion: v1
kind: Config
current-context: c
clusters:
- {name: c, cluster: {server: %q, certificate-authority: ca.crt}}
contexts:
- {name: c, context: {cluster: c, user: u}}
users:
- {name: u, user: {tokenFile: token}}
`, api.URL))
	r := start(t, cluster.Origin{Kubeconfig: filepath.Join(dir, "config")}, cluster.Telemetry{}, quickPace())
	await(t, "refusal of the server", func() bool { return strings.Contains(r.store.Status().Failure, "certificate") })
	write("ca.crt", authority)
	write("token", "new")
	for deadline := time.Now().Add(30 * time.Second); !r.store.Synced(); {
		if time.Now().After(deadline) {
			t.Fatalf("not with the new files: %s", r.store.Status())
		}
		<-time.After(10 * time.Millisecond)
	}
}
