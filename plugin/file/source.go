package file

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

// source is a zone and the file that it is read from.
type source struct {
	origin  wire.Name
	path    string
	reload  time.Duration // between two looks at the file; 0 for one at the start only
	byMtime bool          // a new time of modification counts, not a new serial
	log     *slog.Logger
	zone    atomic.Pointer[zone] // nil until the file could be read
	mtime   time.Time            // of the file when it was read; Start's, then Run's
}

// Start reads the files. One that cannot be opened may come later, if it is looked for again.
func (h *Handler) Start(context.Context) error {
	var problems corefile.Errors
	for _, origin := range h.zones {
		s := h.sources[origin]
		_, err := s.read()
		var open *os.PathError
		switch {
		case errors.As(err, &open) && s.reload > 0:
			h.log.Warn("cannot open a zone file; it is tried again", "error", err, "after", s.reload)
		case err != nil:
			problems.Join(err)
		}
	}
	h.notifier = h.findNotifier()
	return problems.Err()
}

func (h *Handler) findNotifier() plugin.Notifier {
	for _, block := range h.env.Instance.Blocks() {
		if !slices.Contains(block.Handlers, plugin.Handler(h)) {
			continue
		}
		for _, link := range block.Handlers {
			if n, ok := link.(plugin.Notifier); ok {
				return n
			}
		}
	}
	return nil
}

// Run looks at the files again and again, and tells other servers of the zones: at the start, and of every change.
func (h *Handler) Run(ctx context.Context) error {
	var tasks sync.WaitGroup
	for _, origin := range h.zones {
		s := h.sources[origin]
		tasks.Go(func() {
			h.notify(ctx, s)
			h.follow(ctx, s)
		})
	}
	tasks.Wait()
	return nil
}

func (h *Handler) follow(ctx context.Context, s *source) {
	if s.reload == 0 {
		return
	}
	tick := time.NewTicker(s.reload)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		changed, err := s.read()
		if err != nil {
			h.log.Error("cannot read a zone file; the zone stays as it was", "error", err)
		}
		if changed {
			h.log.Info("reloaded a zone", "zone", s.origin.String(), "file", s.path, "serial", s.zone.Load().soa.Serial)
			h.notify(ctx, s)
		}
	}
}

func (h *Handler) notify(ctx context.Context, s *source) {
	if h.notifier == nil || s.zone.Load() == nil {
		return
	}
	if err := h.notifier.Notify(ctx, s.origin); err != nil && ctx.Err() == nil {
		h.log.Warn("cannot tell other servers of a zone", "zone", s.origin.String(), "error", err)
	}
}

// read takes the zone from the file, unless it is the one that is loaded. After an error nothing has changed.
func (s *source) read() (changed bool, err error) {
	text, err := os.Open(s.path)
	if err != nil {
		return false, fmt.Errorf("zone %s: %w", s.origin, err)
	}
	defer text.Close()
	info, err := text.Stat()
	if err != nil {
		return false, fmt.Errorf("zone %s: %w", s.origin, err)
	}
	have := s.zone.Load()
	if s.byMtime {
		if have != nil && info.ModTime().Equal(s.mtime) {
			return false, nil
		}
		have = nil
	}
	z, err := parse(text, s.path, s.origin, have, func(rr dns.RR) {
		s.log.Warn("a record lies outside its zone, and is left out", "zone", s.origin.String(), "file", s.path, "name", rr.Header().Name)
	})
	switch {
	case errors.Is(err, errUnchanged):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("zone %s: %w", s.origin, err)
	}
	s.zone.Store(z)
	s.mtime = info.ModTime()
	return true, nil
}
