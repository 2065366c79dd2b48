package server

import (
	"context"
	"crypto/sha512"
	"log/slog"
	"sync"
	"time"

	"github.com/nameplane/nameplane/server/corefile"
)

const (
	// settleTime is how long a changed Corefile must stay as it is before it is taken: what is written in place may be
	// read when half of it is there.
	settleTime = 100 * time.Millisecond
	// settleLooks bounds the wait for that; the next look may have more luck.
	settleLooks = 20
)

// watcher looks for a new Corefile by reading all of it again, imports and globs included. That costs less than a
// millisecond every thirty seconds, sees files that appear, links that are swapped (as a ConfigMap's are) and network
// folders, none of which a watch of the file system does reliably.
type watcher struct {
	server *Server
	log    *slog.Logger
	tried  version // the last one that could not be put in place
}

// version is what a look at the Corefile saw.
type version struct {
	file *corefile.File
	err  error // why there is no file
	sum  [sha512.Size]byte
}

// watch begins to look for a new Corefile. The function returned ends that, and returns once it has ended.
func (s *Server) watch(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{server: s, log: s.options.Log.WithGroup("plugin/reload")}
	if _, every := s.current(); every > 0 && s.options.Load == nil {
		w.log.Warn("the Corefile is not watched: it came from standard input")
	}
	var task sync.WaitGroup
	task.Go(func() { w.run(ctx) })
	return func() {
		cancel()
		task.Wait()
	}
}

// Refresh asks for the Corefile to be read again at once, and put in place even if it is the same. It returns at once;
// the log tells what came of it.
func (s *Server) Refresh() {
	select {
	case s.refresh <- struct{}{}:
	default: // one is wanted already
	}
}

// current is the checksum of the Corefile that is served, and the time between two looks for another one.
func (s *Server) current() (sum [sha512.Size]byte, every time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.made.sum, s.made.reload.Every
}

func (w *watcher) run(ctx context.Context) {
	for {
		sum, every := w.server.current()
		var tick <-chan time.Time
		if every > 0 && w.server.options.Load != nil {
			tick = time.After(every)
		}
		select {
		case <-ctx.Done():
			return
		case <-w.server.refresh:
			w.refresh(ctx)
		case <-tick:
			w.look(ctx, sum)
		}
	}
}

func (w *watcher) refresh(ctx context.Context) {
	if w.server.options.Load == nil {
		w.log.Warn("cannot reload: the Corefile came from standard input")
		return
	}
	w.put(ctx, w.load())
}

// look puts a Corefile in place that is neither the one served nor one that failed already.
func (w *watcher) look(ctx context.Context, served [sha512.Size]byte) {
	v := w.load()
	for range settleLooks {
		if v.sum == served {
			w.tried = version{}
			return
		}
		if v.sum == w.tried.sum || !pause(ctx, settleTime) {
			return
		}
		before := v.sum
		if v = w.load(); v.sum == before {
			w.put(ctx, v)
			return
		}
	}
}

// load reads the Corefile. Of one that cannot be read the checksum is that of the reason.
func (w *watcher) load() version {
	file, err := w.server.options.Load()
	if err != nil {
		return version{err: err, sum: sha512.Sum512([]byte(err.Error()))}
	}
	return version{file: file, sum: file.Sum()}
}

// put makes v the Corefile that is served, or tells why not.
func (w *watcher) put(ctx context.Context, v version) {
	err := v.err
	if err == nil {
		err = w.server.Reload(ctx, v.file)
	}
	if err == nil {
		w.tried = version{}
		return
	}
	if ctx.Err() != nil {
		return // the stop came in between
	}
	w.tried = v
	w.server.meters.failed.Inc()
	var problems corefile.Errors
	problems.Join(err)
	for _, problem := range problems {
		w.log.Error(problem.Error())
	}
	w.log.Error("Corefile changed but reload failed: the old one answers on", "problems", len(problems))
}
