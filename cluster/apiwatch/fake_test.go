package apiwatch

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// answer is how the fake API server answers one request. It returns when the answer is at its end.
type answer func(w *reply)

// fakeAPI is a server which speaks the protobuf of lists and watches as the API server does, by a script: the n-th
// request for services gets the n-th answer, and after the last all get that one. Other resources are an empty list
// that is watched.
type fakeAPI struct {
	*httptest.Server
	script []answer

	mu       sync.Mutex
	requests []*http.Request // for services
}

func newFakeAPI(t *testing.T, script ...answer) *fakeAPI {
	t.Helper()
	f := &fakeAPI{script: script}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := &reply{w: w, r: r}
	if r.URL.Path != "/api/v1/services" {
		emptyWatch(out)
		return
	}
	f.mu.Lock()
	answer := f.script[min(len(f.requests), len(f.script)-1)]
	f.requests = append(f.requests, r)
	f.mu.Unlock()
	answer(out)
}

// asked are the queries for services so far.
func (f *fakeAPI) asked() (list []url.Values) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.requests {
		list = append(list, r.URL.Query())
	}
	return list
}

// plainly is the answer of a server without watch lists that has no objects.
func plainly(w *reply) {
	query := w.r.URL.Query()
	switch {
	case query.Has("sendInitialEvents"):
		noWatchList(w)
	case query.Has("watch"):
		w.raw(nil)
		w.hang()
	default:
		w.list("1")
	}
}

func emptyWatch(w *reply) {
	w.bookmark("1", true)
	w.hang()
}

// reply writes one answer; its methods are the words of a script.
type reply struct {
	w http.ResponseWriter
	r *http.Request
}

// must is for encodings of objects that cannot fail; a panic in a handler ends the connection and shows in the log.
func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func envelope(object marshaler) []byte {
	return append(magic[:], must((&runtime.Unknown{Raw: must(object.Marshal())}).Marshal())...)
}

// frame is an event as it stands in a watch.
func frame(kind string, object marshaler) []byte {
	b := must((&metav1.WatchEvent{Type: kind, Object: runtime.RawExtension{Raw: envelope(object)}}).Marshal())
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func (w *reply) raw(b []byte) {
	w.w.Header().Set("Content-Type", inProtobuf+";stream=watch")
	_, _ = w.w.Write(b) // the client may have gone, which ends the script
	w.w.(http.Flusher).Flush()
}

func (w *reply) event(kind string, object marshaler) { w.raw(frame(kind, object)) }

func (w *reply) bookmark(version string, end bool) {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{ResourceVersion: version}}
	if end {
		s.Annotations = map[string]string{annotationEnd: "true"}
	}
	w.event("BOOKMARK", s)
}

// list is a whole list.
func (w *reply) list(version string, names ...string) { w.raw(listed(version, names...)) }

func listed(version string, names ...string) []byte {
	l := &corev1.ServiceList{ListMeta: metav1.ListMeta{ResourceVersion: version}}
	for _, name := range names {
		l.Items = append(l.Items, *service(name, version))
	}
	return envelope(l)
}

// refuse is an answer of another status, with a metav1.Status.
func (w *reply) refuse(code int, reason metav1.StatusReason, message string, causes ...metav1.StatusCause) {
	w.w.Header().Set("Content-Type", inProtobuf)
	w.w.WriteHeader(code)
	_, _ = w.w.Write(envelope(status(code, reason, message, causes...)))
}

func status(code int, reason metav1.StatusReason, message string, causes ...metav1.StatusCause) *metav1.Status {
	return &metav1.Status{Code: int32(code), Reason: reason, Message: message, Details: &metav1.StatusDetails{Causes: causes}}
}

// hang keeps the answer open until the client goes.
func (w *reply) hang() { <-w.r.Context().Done() }

// cut breaks the connection off.
func (w *reply) cut() { panic(http.ErrAbortHandler) }

func service(name, version string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, ResourceVersion: version},
		Spec:       corev1.ServiceSpec{ClusterIP: fmt.Sprintf("10.96.0.%d", name[0]), Ports: []corev1.ServicePort{{Port: 80}}},
	}
}
