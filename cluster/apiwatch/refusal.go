package apiwatch

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Media types.
const (
	inProtobuf = "application/vnd.kubernetes.protobuf"
	inJSON     = "application/json"
)

// refusal is an answer other than what was asked for: a metav1.Status, or the text of something on the way.
type refusal struct {
	code     int    // HTTP status
	reason   string // metav1.StatusReason
	message  string
	tooLarge bool          // the server is not yet at the resourceVersion asked for
	after    time.Duration // try again after that; 0 when it is not said
}

// Error tells the status and the server's words.
func (r *refusal) Error() string {
	if r.message == "" {
		return fmt.Sprintf("the API server answers %d %s", r.code, http.StatusText(r.code))
	}
	return fmt.Sprintf("the API server answers %d: %s", r.code, r.message)
}

// expired tells that only a new list helps.
func expired(err error) bool {
	var r *refusal
	return errors.As(err, &r) && (r.code == http.StatusGone || r.reason == "Expired" || r.tooLarge)
}

// unstreamed tells that the server cannot begin a watch with a list: before 1.32 and in 1.33 that is off by default.
func unstreamed(err error) bool {
	var r *refusal
	return errors.Is(err, errUnmarked) ||
		errors.As(err, &r) && (r.code == http.StatusUnprocessableEntity || r.code == http.StatusBadRequest)
}

// absent tells that the server has no such resource.
func absent(err error) bool {
	var r *refusal
	return errors.As(err, &r) && r.code == http.StatusNotFound
}

// unauthorized tells that other credentials may help.
func unauthorized(err error) bool {
	var r *refusal
	var verification *tls.CertificateVerificationError
	return errors.As(err, &r) && r.code == http.StatusUnauthorized || errors.As(err, &verification)
}

// patience is how long the server wants to be left alone.
func patience(err error) time.Duration {
	var r *refusal
	if errors.As(err, &r) {
		return r.after
	}
	return 0
}

// explain is err for an operator; denied tells that it will not pass by itself.
func explain(r *resource, err error) (text string, denied bool) {
	var said *refusal
	if errors.As(err, &said) {
		switch said.code {
		case http.StatusUnauthorized:
			return said.Error() + ": its token or certificate may have expired, or belong to another cluster", true
		case http.StatusForbidden:
			return fmt.Sprintf("%s: a ClusterRole must grant it the verbs list and watch on %s of the API group %q", said, r.kind, r.group), true
		}
	}
	return err.Error(), unauthorized(err)
}

// checkResponse is nil for a body that can be read as objects in media.
func checkResponse(response *http.Response, media string) error {
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode == http.StatusOK {
		if kind == media {
			return nil
		}
		return fmt.Errorf("%s answers %q instead of %s: is it a Kubernetes API server?", response.Request.URL.Host, kind, media)
	}
	body, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10)) // the status tells enough when it breaks off
	r := readRefusal(kind, body)
	r.code = response.StatusCode
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		r.after = time.Duration(seconds) * time.Second
	}
	return r
}

func readRefusal(kind string, body []byte) *refusal {
	r := &refusal{}
	switch kind {
	case inProtobuf:
		if object, err := unwrap(body); err == nil {
			r.read(object)
		}
	case inJSON:
		r.readJSON(body)
	default:
		line, _, _ := strings.Cut(strings.TrimSpace(string(body[:min(len(body), 200)])), "\n")
		r.message = strings.ToValidUTF8(line, "?")
	}
	return r
}

// read takes what matters of a metav1.Status; what is garbled stays empty.
func (r *refusal) read(status []byte) {
	for m := (message{rest: status}); m.next(); {
		switch m.number {
		case 3:
			r.message = string(m.bytes)
		case 4:
			r.reason = string(m.bytes)
		case 5:
			r.details(m.inner())
		case 6:
			r.code = int(int32(m.value))
		}
	}
}

// readJSON is read for a Status in JSON.
func (r *refusal) readJSON(text []byte) {
	var status struct {
		Message, Reason string
		Code            int
		Details         struct {
			RetryAfterSeconds int
			Causes            []struct{ Reason string }
		}
	}
	if json.Unmarshal(text, &status) != nil {
		return
	}
	r.message, r.reason, r.code = status.Message, status.Reason, status.Code
	r.after = time.Duration(status.Details.RetryAfterSeconds) * time.Second
	for _, cause := range status.Details.Causes {
		r.tooLarge = r.tooLarge || cause.Reason == "ResourceVersionTooLarge"
	}
}

func (r *refusal) details(m message) {
	for m.next() {
		switch m.number {
		case 4:
			for cause := m.inner(); cause.next(); {
				r.tooLarge = r.tooLarge || cause.number == 1 && string(cause.bytes) == "ResourceVersionTooLarge"
			}
		case 5:
			r.after = time.Duration(int32(m.value)) * time.Second
		}
	}
}

// unwrapURL takes away what http.Client adds: the whole URL, which is another for each kind and says nothing new.
func unwrapURL(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
