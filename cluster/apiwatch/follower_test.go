package apiwatch

import (
	"bytes"
	"context"
	"encoding/binary"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nameplane/nameplane/cluster"
)

// running is a source that runs on a fake API server.
type running struct {
	store *cluster.Store
	log   *syncBuffer
	stop  func() error
}

func quickPace() pace {
	return pace{first: 2 * time.Millisecond, last: 10 * time.Millisecond, answer: 5 * time.Second, listing: 5 * time.Second, silence: 5 * time.Second}
}

func start(t *testing.T, origin cluster.Origin, telemetry cluster.Telemetry, p pace) *running {
	t.Helper()
	r := &running{log: &syncBuffer{}}
	if origin.QPS == 0 {
		origin.QPS, origin.Burst = 1000, 1000
	}
	opened, err := Open(origin, cluster.Needs{}, telemetry, slog.New(slog.NewTextHandler(r.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	opened.(*source).pace = p
	opened.(*source).server.calm = p.last
	var writer *cluster.Writer
	r.store, writer = cluster.NewStore()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- opened.Run(ctx, writer) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

func (r *running) services() string {
	var names []string
	r.store.Services(func(s *cluster.Service) { names = append(names, s.Name()) })
	slices.Sort(names)
	return strings.Join(names, " ")
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// resume is the answer to a watch that goes on.
func resume(w *reply) {
	w.event("ADDED", service("z", "99"))
	w.hang()
}

// begin is a watch list of the services a and b at version 10, which goes on with then.
func begin(then func(w *reply)) answer {
	return func(w *reply) {
		w.event("ADDED", service("a", "5"))
		w.event("ADDED", service("b", "6"))
		w.bookmark("10", true)
		then(w)
	}
}

var noWatchList answer = func(w *reply) {
	w.refuse(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled")
}

var gone = status(http.StatusGone, metav1.StatusReasonExpired, "too old resource version: 10 (20)")

// Kubernetes API concepts: "Efficient detection of changes", "Streaming lists", "410 Gone responses".
func TestFollow(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		script   []answer
		services string     // in the end
		asked    [][]string // by request: key=value of its query; a key alone must not be there
		logged   []string
	}{
		{
			name: "events after a watch list",
			script: []answer{begin(func(w *reply) {
				w.event("MODIFIED", service("b", "11"))
				w.event("DELETED", service("a", "12"))
				w.event("ADDED", service("c", "13"))
				w.event("SOMETHING", service("d", "14"))
				w.hang()
			})},
			services: "b c",
			asked:    [][]string{{"watch=true", "sendInitialEvents=true", "resourceVersionMatch=NotOlderThan", "allowWatchBookmarks=true", "resourceVersion"}},
		},
		{
			name:     "a server without watch lists",
			script:   []answer{noWatchList, func(w *reply) { w.list("10", "a", "b") }, resume},
			services: "a b z",
			asked: [][]string{
				{"sendInitialEvents=true"}, {"resourceVersion=0", "resourceVersionMatch=NotOlderThan", "watch"}, {"watch=true", "resourceVersion=10", "sendInitialEvents"},
			},
		},
		{
			name: "a server that takes a watch list for a watch",
			script: []answer{
				func(w *reply) { w.event("ADDED", service("a", "5")); w.bookmark("9", false); w.hang() },
				func(w *reply) { w.list("10", "a", "b") }, resume,
			},
			services: "a b z",
		},
		{
			name:     "a watch that ends by the clock goes on from its last event",
			script:   []answer{begin(func(w *reply) { w.event("ADDED", service("c", "17")) }), resume},
			services: "a b c z",
			asked:    [][]string{{}, {"watch=true", "resourceVersion=17", "sendInitialEvents"}},
		},
		{
			name:     "a bookmark moves the point to go on from",
			script:   []answer{begin(func(w *reply) { w.bookmark("30", false) }), resume},
			services: "a b z",
			asked:    [][]string{{}, {"resourceVersion=30"}},
		},
		{
			name: "gone, in the watch",
			script: []answer{
				begin(func(w *reply) { w.event("ERROR", gone) }),
				func(w *reply) { w.event("ADDED", service("b", "6")); w.bookmark("20", true); w.hang() },
			},
			services: "b",
			asked:    [][]string{{}, {"sendInitialEvents=true"}},
			logged:   []string{"listing again"},
		},
		{
			name: "gone, as an answer",
			script: []answer{
				begin(func(w *reply) { w.bookmark("11", false) }),
				func(w *reply) { w.refuse(http.StatusGone, metav1.StatusReasonExpired, "too old") },
				noWatchList, func(w *reply) { w.list("20", "b") }, resume,
			},
			services: "b z",
			asked:    [][]string{{}, {"resourceVersion=11"}, {"sendInitialEvents=true"}, {"resourceVersion=11", "resourceVersionMatch=NotOlderThan"}, {"resourceVersion=20"}},
			logged:   []string{"listing again"},
		},
		{
			name: "a list that another server is not ready for is asked of etcd",
			script: []answer{
				noWatchList,
				func(w *reply) {
					w.refuse(http.StatusGatewayTimeout, metav1.StatusReasonTimeout, "Too large resource version", metav1.StatusCause{Type: metav1.CauseTypeResourceVersionTooLarge})
				},
				noWatchList, func(w *reply) { w.list("20", "b") }, resume,
			},
			services: "b z",
			asked:    [][]string{{}, {"resourceVersion=0"}, {}, {"resourceVersion", "resourceVersionMatch"}},
		},
		{
			name: "a connection cut within a frame",
			script: []answer{
				begin(func(w *reply) {
					w.event("ADDED", service("c", "17"))
					w.raw(frame("ADDED", service("d", "18"))[:20])
					w.cut()
				}),
				resume,
			},
			services: "a b c z",
			asked:    [][]string{{}, {"resourceVersion=17"}},
			logged:   []string{"not following the cluster", "the watch broke off", "following again after"},
		},
		{
			name: "a connection cut within the initial events takes nothing away",
			script: []answer{
				begin(func(w *reply) { w.event("ERROR", gone) }),
				func(w *reply) { w.event("ADDED", service("c", "6")); w.cut() },
				func(w *reply) { w.event("ADDED", service("c", "6")) },
				func(w *reply) {
					w.event("ADDED", service("a", "6"))
					w.event("ADDED", service("c", "6"))
					w.bookmark("20", true)
					w.hang()
				},
			},
			services: "a c",
			asked:    [][]string{{}, {"sendInitialEvents=true"}, {"sendInitialEvents=true"}, {"sendInitialEvents=true"}},
		},
		{
			name:     "initial events that end before their end are no list",
			script:   []answer{func(w *reply) { w.event("ADDED", service("c", "6")) }, begin(resume)},
			services: "a b z",
			logged:   []string{"ended the list before its last object", "following again after"},
		},
		{
			name: "a list cut within an object",
			script: []answer{
				noWatchList, func(w *reply) { b := listed("10", "a", "b"); w.raw(b[:len(b)-9]); w.cut() },
				noWatchList, func(w *reply) { w.list("10", "a", "b") }, resume,
			},
			services: "a b z",
			logged:   []string{"the list broke off"},
		},
		{
			name:     "garbage instead of a frame",
			script:   []answer{begin(func(w *reply) { w.raw([]byte("garbage")); w.hang() }), resume},
			services: "a b z",
			asked:    [][]string{{}, {"resourceVersion=10"}},
			logged:   []string{"garbage"},
		},
		{
			name: "a frame that is no event",
			script: []answer{
				begin(func(w *reply) { w.raw(append(binary.BigEndian.AppendUint32(nil, 3), "abc"...)); w.hang() }), resume,
			},
			services: "a b z",
		},
		{
			name: "an object that cannot be read does not keep the others away",
			script: []answer{func(w *reply) {
				w.event("ADDED", garbled{})
				w.event("ADDED", service("a", "5"))
				w.bookmark("10", true)
				w.hang()
			}},
			services: "a",
			logged:   []string{"passed over an object"},
		},
		{
			name: "two services with one address",
			script: []answer{func(w *reply) {
				twin := service("a2", "6")
				w.event("ADDED", service("a", "5"))
				w.event("ADDED", twin)
				w.event("MODIFIED", twin)
				w.bookmark("10", true)
				w.hang()
			}},
			services: "a a2",
			logged:   []string{"two services have the same cluster IP"},
		},
		{
			name:     "a page instead of an API",
			script:   []answer{func(w *reply) { w.w.Header().Set("Content-Type", "text/html"); _, _ = w.w.Write([]byte("<html>")) }, begin(resume)},
			services: "a b z",
			logged:   []string{"is it a Kubernetes API server?"},
		},
		{
			name: "refused for a while",
			script: []answer{
				func(w *reply) {
					w.refuse(http.StatusForbidden, metav1.StatusReasonForbidden, `User "u" cannot watch resource "services" in API group ""`)
				},
				func(w *reply) { w.refuse(http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "Unauthorized") },
				func(w *reply) { http.Error(w.w, "etcd is away\nfor long", http.StatusInternalServerError) },
				func(w *reply) { w.w.Header().Set("Retry-After", "0"); w.w.WriteHeader(http.StatusServiceUnavailable) },
				begin(resume),
			},
			services: "a b z",
			logged:   []string{"a ClusterRole must grant", "may have expired", "following again after"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			api := newFakeAPI(t, tt.script...)
			r := start(t, cluster.Origin{Endpoint: api.URL}, cluster.Telemetry{}, quickPace())
			await(t, "services", func() bool {
				return r.store.Synced() && r.services() == tt.services && len(api.asked()) >= len(tt.script)
			})
			await(t, "no failure", func() bool { return r.store.Status().Failure == "" })
			for i, want := range tt.asked {
				checkQuery(t, i, api.asked()[i].Encode(), want)
			}
			for _, text := range tt.logged {
				if n := strings.Count(r.log.String(), text); n != 1 {
					t.Errorf("%q is logged %d times, want once:\n%s", text, n, r.log)
				}
			}
		})
	}
}

// checkQuery wants each "key=value" in the query, and no other value of the key; a key alone must not be there.
func checkQuery(t *testing.T, n int, query string, want []string) {
	t.Helper()
	for _, w := range want {
		key, _, valued := strings.Cut(w, "=")
		found := slices.ContainsFunc(strings.Split(query, "&"), func(pair string) bool {
			return pair == w || !valued && strings.HasPrefix(pair, key+"=")
		})
		if found != valued {
			t.Errorf("request %d: %q in %q: %v, want %v", n, w, query, found, valued)
		}
	}
}

// garbled is an object whose metadata is cut short.
type garbled struct{}

func (garbled) Marshal() ([]byte, error) { return []byte{0x0a, 0x05, 0x0a, 0x7f, 'x'}, nil }

// A server that is silent for longer than bookmarks take is left, and the watch goes on from where it was.
func TestSilence(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		script []answer
		pace   func(*pace)
		logged string
	}{
		{
			name:   "in a watch",
			script: []answer{begin((*reply).hang), resume},
			pace:   func(p *pace) { p.silence = 50 * time.Millisecond },
			logged: "no event or bookmark for 50ms",
		},
		{
			name:   "in the initial events",
			script: []answer{func(w *reply) { w.event("ADDED", service("a", "5")); w.hang() }, begin(resume)},
			pace:   func(p *pace) { p.listing = 50 * time.Millisecond },
			logged: "no object of the list for 50ms",
		},
		{
			name:   "before an answer",
			script: []answer{(*reply).hang, begin(resume)},
			pace:   func(p *pace) { p.answer = 50 * time.Millisecond },
			logged: "no answer for 50ms",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			api := newFakeAPI(t, tt.script...)
			p := quickPace()
			tt.pace(&p)
			r := start(t, cluster.Origin{Endpoint: api.URL}, cluster.Telemetry{}, p)
			await(t, "services", func() bool { return r.services() == "a b z" })
			if !strings.Contains(r.log.String(), tt.logged) {
				t.Errorf("%q is not logged:\n%s", tt.logged, r.log)
			}
		})
	}
}
