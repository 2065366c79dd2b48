package apiwatch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strconv"
	"time"

	"github.com/nameplane/nameplane/cluster"
)

// pace is how long a follower waits for what.
type pace struct {
	first, last time.Duration // between attempts that fail, doubling
	answer      time.Duration // for an answer to begin
	listing     time.Duration // for the next object of a list
	silence     time.Duration // for an event or bookmark of a watch; bookmarks come about every minute
}

func usualPace() pace {
	return pace{
		first: 800 * time.Millisecond, last: 30 * time.Second,
		answer: 30 * time.Second, listing: time.Minute, silence: 3 * time.Minute,
	}
}

// follower keeps the Store's objects of one kind current: it lists them, watches from there, resumes a watch that ended
// where it ended, and lists again when the server no longer knows that point. The list comes as the beginning of the
// watch where the server can do that, so that neither side ever holds all of it.
type follower struct {
	resource resource
	server   *server
	writer   *cluster.Writer
	trouble  *trouble
	log      *slog.Logger
	pace     pace
	slots    chan struct{} // bounds the requests at a time; nil for no bound

	version string // resourceVersion to resume from; empty when a list is due
	floor   string // resourceVersion that a list must not be older than; empty for what etcd has now
	held    bool   // a slot is held
	resumed bool   // the last attempt began with a watch, not with a list
	missing bool   // the server has no such resource
	steady  bool   // the last attempt followed for a while, so that its end is no reason to wait
}

var (
	errUnmarked = errors.New("the server sent a bookmark before the list's end: it does not know watch lists")
	errUnlisted = errors.New("the server ended the list before its last object")
)

// silent is the cause of a request's end by its timer.
type silent struct {
	what string
	d    time.Duration
}

func (s *silent) Error() string { return fmt.Sprintf("no %s for %s", s.what, s.d) }

// run follows until ctx ends.
func (f *follower) run(ctx context.Context) {
	f.floor = "0"
	for wait := f.pace.first; ctx.Err() == nil; {
		err := f.attempt(ctx)
		if ctx.Err() != nil {
			return
		}
		if f.steady {
			wait = f.pace.first
		}
		if f.judge(err) {
			continue
		}
		f.pause(ctx, max(jittered(wait), min(patience(err), f.pace.last)))
		wait = min(2*wait, f.pace.last)
	}
}

// judge reports how an attempt ended; at once tells that the next is due without a pause.
func (f *follower) judge(err error) (atOnce bool) {
	switch {
	case err == nil:
		return f.steady
	case expired(err):
		f.log.Info("listing again, as the server no longer knows where the watch was", "kind", f.resource.kind.String(), "reason", err)
		if f.version == "" {
			f.floor = "" // it was the list that was refused
		}
		f.version = ""
		return f.resumed
	case f.resource.custom && absent(err):
		f.miss()
		return false
	case unauthorized(err):
		err = errors.Join(err, f.server.renew())
	}
	text, denied := explain(&f.resource, err)
	f.trouble.begin(f.resource.kind, text, denied)
	return false
}

// miss is for a custom resource that the server does not have: its definition is not installed. There are no objects then,
// which is all that anybody can know, and no reason to hold up those of other kinds. It may be installed at any time.
func (f *follower) miss() {
	if !f.missing {
		f.log.Warn("the API server has no such resource, so there are none; it is asked again from time to time",
			"kind", f.resource.kind.String(), "group", f.resource.group, "want", "its CustomResourceDefinition, or a Corefile without it")
	}
	if f.floor == "0" && !f.missing { // nothing was listed yet
		f.writer.BeginList(f.resource.kind)
		f.writer.EndList(f.resource.kind)
	}
	f.missing, f.version = true, ""
	f.trouble.end(f.resource.kind)
}

func (f *follower) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// jittered spreads the attempts of many clients which lost the same server: up to half as long again.
func jittered(d time.Duration) time.Duration { return d + rand.N(d/2+1) }

// attempt lists, if that is due, and watches until something ends it; nil when the server ended the watch by the clock.
func (f *follower) attempt(ctx context.Context) error {
	f.steady, f.resumed = false, f.version != ""
	if err := f.acquire(ctx); err != nil {
		return err
	}
	defer f.release()
	if f.resumed {
		return f.watch(ctx, url.Values{"resourceVersion": {f.version}}, false)
	}
	err := f.watch(ctx, url.Values{"sendInitialEvents": {"true"}, "resourceVersionMatch": {"NotOlderThan"}}, true)
	if f.version != "" || !unstreamed(err) {
		return err
	}
	f.log.Debug("listing in one piece", "kind", f.resource.kind.String(), "reason", err)
	if err := f.list(ctx); err != nil {
		return err
	}
	return f.watch(ctx, url.Values{"resourceVersion": {f.version}}, false)
}

// list takes the whole list from the server's cache: unlike pages, that costs etcd nothing. It is read object by object.
func (f *follower) list(ctx context.Context) error {
	query := f.resource.query()
	if f.floor != "" {
		query.Set("resourceVersion", f.floor)
		query.Set("resourceVersionMatch", "NotOlderThan")
	}
	s, err := f.ask(ctx, query)
	if err != nil {
		return err
	}
	defer s.close()
	f.writer.BeginList(f.resource.kind)
	s.expect("object of the list", f.pace.listing)
	version, err := f.resource.format.list(s.body, func(object []byte) error {
		s.expect("object of the list", f.pace.listing)
		f.take(f.resource.put, object)
		return nil
	})
	if err != nil {
		return fmt.Errorf("the list broke off: %w", s.explain(err))
	}
	f.listed(version)
	return nil
}

// watch follows from where query says; listing tells that all objects come first.
func (f *follower) watch(ctx context.Context, where url.Values, listing bool) error {
	query := f.resource.query()
	for key, value := range where {
		query[key] = value
	}
	query.Set("watch", "true")
	query.Set("allowWatchBookmarks", "true")
	query.Set("timeoutSeconds", strconv.Itoa(300+rand.IntN(301))) // so that load spreads over API servers again
	s, err := f.ask(ctx, query)
	if err != nil {
		return err
	}
	defer s.close()
	if listing {
		f.writer.BeginList(f.resource.kind)
		return f.events(s, true)
	}
	// A server that no longer knows the version says so on the watch, at once; so only a watch that stands for a moment
	// is one. Its first event may be a minute away.
	f.release()
	defer f.settle()()
	return f.events(s, false)
}

// settle ends the trouble in a moment. The function returned prevents that, or waits until it is done: nothing must
// say that all is well after the end of the watch was reported.
func (f *follower) settle() (stop func()) {
	done := make(chan struct{})
	timer := time.AfterFunc(f.pace.first, func() {
		defer close(done)
		f.trouble.end(f.resource.kind)
	})
	return func() {
		if !timer.Stop() {
			<-done
		}
	}
}

func (f *follower) events(s *session, listing bool) error {
	began := time.Now()
	for stream := f.resource.format.watch(s.body); ; {
		if listing {
			s.expect("object of the list", f.pace.listing)
		} else {
			s.expect("event or bookmark", f.pace.silence)
		}
		e, err := stream.next()
		switch {
		case errors.Is(err, io.EOF) && listing:
			return errUnlisted
		case errors.Is(err, io.EOF):
			f.steady = f.steady || time.Since(began) >= f.pace.first
			return nil
		case err != nil:
			return fmt.Errorf("the watch broke off: %w", s.explain(err))
		}
		version, marked, err := f.apply(e)
		switch {
		case err != nil:
			return err
		case listing && marked:
			listing = false
			f.listed(version)
			f.release()
			f.trouble.end(f.resource.kind)
		case listing && e.kind == "BOOKMARK":
			return errUnmarked
		case !listing && version != "":
			f.version, f.floor, f.steady = version, version, true
			f.trouble.end(f.resource.kind)
		}
	}
}

// apply does what an event says; marked tells that it is the end of the initial events.
func (f *follower) apply(e event) (version string, marked bool, err error) {
	switch e.kind {
	case "ADDED", "MODIFIED":
		return f.take(f.resource.put, e.object), false, nil
	case "DELETED":
		return f.take(f.resource.drop, e.object), false, nil
	case "BOOKMARK":
		meta, err := f.resource.format.metadata(e.object)
		f.writer.Alive()
		return meta.version, meta.listed, err
	case "ERROR":
		r := &refusal{}
		f.resource.format.refused(r, e.object)
		return "", false, r
	}
	return "", false, nil // of a newer API: nothing that we asked for
}

// take hands an object over. One that cannot be read is counted and passed over: it must not keep the others away.
func (f *follower) take(hand func([]byte) (string, error), object []byte) (version string) {
	version, err := hand(object)
	if err != nil {
		f.writer.Skip()
		f.log.Warn("passed over an object that cannot be read", "kind", f.resource.kind.String(), "bytes", len(object), "error", err)
	}
	return version
}

// listed ends a list that is complete.
func (f *follower) listed(version string) {
	f.writer.EndList(f.resource.kind)
	f.version, f.floor = version, version
	if f.missing {
		f.missing = false
		f.log.Info("the API server has the resource now", "kind", f.resource.kind.String(), "group", f.resource.group)
	}
}

func (f *follower) acquire(ctx context.Context) error {
	if f.slots == nil {
		return nil
	}
	select {
	case f.slots <- struct{}{}:
		f.held = true
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// release gives the slot back: a watch that stands is no request in flight, else the first would keep the others out.
func (f *follower) release() {
	if f.held {
		f.held = false
		<-f.slots
	}
}
