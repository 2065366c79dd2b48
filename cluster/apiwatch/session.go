package apiwatch

import (
	"context"
	"io"
	"net/url"
	"time"
)

// session is one request whose answer is read as it comes, by a reader who waits for each part only so long.
type session struct {
	ctx    context.Context // ended by the timer
	cancel context.CancelCauseFunc
	timer  *time.Timer
	wait   *silent
	body   io.ReadCloser
}

// ask sends the request and waits for the answer to begin. The caller closes the session.
func (f *follower) ask(ctx context.Context, query url.Values) (*session, error) {
	s := &session{}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.expect("answer", f.pace.answer)
	response, err := f.server.get(s.ctx, f.resource.path, query, f.resource.format.media())
	if err != nil {
		defer s.close()
		return nil, s.explain(err)
	}
	s.body = response.Body
	return s, nil
}

// expect gives the next part d to come.
func (s *session) expect(what string, d time.Duration) {
	if s.wait != nil && s.wait.what == what && s.timer.Reset(d) {
		return
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	wait := &silent{what: what, d: d}
	s.wait = wait
	s.timer = time.AfterFunc(d, func() { s.cancel(wait) })
}

// explain is the reason of a read's error: the timer's, if it was that.
func (s *session) explain(err error) error {
	if cause, ok := context.Cause(s.ctx).(*silent); ok {
		return cause
	}
	return err
}

func (s *session) close() {
	s.timer.Stop()
	s.cancel(nil)
	if s.body != nil {
		s.body.Close()
	}
}
