package hosts

import (
	"context"
	"fmt"
	"os"
	"time"
)

// shownProblems bounds the lines that are logged of one reading: lists for blocking have thousands of names that are none.
const shownProblems = 10

// stamp tells one content of a file from another.
type stamp struct {
	mtime time.Time
	size  int64
}

// Start reads the file. A file that cannot be read is no reason not to answer from inline entries.
func (h *Handler) Start(context.Context) error {
	h.metrics.entries.Set(float64(h.inline.size))
	h.read()
	return nil
}

// Run reads the file again when it has changed.
func (h *Handler) Run(ctx context.Context) error {
	if h.reload == 0 {
		return nil
	}
	tick := time.NewTicker(h.reload)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			h.read()
		}
	}
}

// read takes the file's entries, if it has changed since the last time. While there is none, the last one's stay.
func (h *Handler) read() {
	file, err := os.Open(h.path)
	if err != nil {
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		h.log.Error(fmt.Sprintf("cannot look at %s: %v", h.path, err))
		return
	}
	now := stamp{info.ModTime(), info.Size()}
	if now.mtime.Equal(h.seen.mtime) && now.size == h.seen.size {
		return
	}
	problems := 0
	entries, err := parse(file, h.zones, h.reverse, func(line int, problem string) {
		if problems++; problems <= shownProblems {
			h.log.Debug(fmt.Sprintf("%s:%d: %s", h.path, line, problem))
		}
	})
	if err != nil {
		h.log.Error(fmt.Sprintf("cannot read %s to its end: %v", h.path, err))
	}
	h.log.Debug(fmt.Sprintf("%s has %d entries, and %d lines or names that are none", h.path, entries.size, problems))
	h.file.Store(entries)
	h.seen = now
	h.metrics.entries.Set(float64(h.inline.size + entries.size))
	h.metrics.reloaded.Set(float64(now.mtime.UnixNano()) / 1e9)
}
