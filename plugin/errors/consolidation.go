package errors

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"github.com/nameplane/nameplane/server/corefile"
)

const (
	consolidateForm = "consolidate DURATION REGEXP [warning|error|info|debug] [show_first]"

	// longestPattern bounds what a pattern costs to compile, in bytes.
	longestPattern = 10000
)

// consolidation counts the errors that fit a pattern, and prints their number once a period.
type consolidation struct {
	period    time.Duration
	pattern   *regexp.Regexp
	level     slog.Level
	showFirst bool
	log       *slog.Logger

	mu     sync.Mutex // guards what follows
	number int
	timer  *time.Timer
	closed bool
}

func newConsolidation(o *corefile.Directive, log *slog.Logger) (*consolidation, error) {
	c := &consolidation{level: slog.LevelError, log: log}
	var err error
	if c.period, err = time.ParseDuration(o.Args[0].Text); err != nil || c.period <= 0 {
		return nil, o.Errorf("%q is not a duration such as 30s or 5m", o.Args[0].Text)
	}
	if n := len(o.Args[1].Text); n > longestPattern {
		return nil, o.Errorf("the pattern has %d bytes; at most %d are allowed", n, longestPattern)
	}
	if c.pattern, err = regexp.Compile(o.Args[1].Text); err != nil {
		return nil, o.Errorf("%q is not a pattern: %v", o.Args[1].Text, err)
	}
	for i, arg := range o.Args[2:] {
		level, isLevel := levelOf(arg.Text)
		switch {
		case arg.Text == "show_first" && !c.showFirst:
			c.showFirst = true
		case isLevel && i == 0:
			c.level = level
		default:
			return nil, o.Errorf("%q is out of place; write %q", arg.Text, consolidateForm)
		}
	}
	return c, nil
}

func levelOf(word string) (level slog.Level, ok bool) {
	switch word {
	case "warning":
		return slog.LevelWarn, true
	case "error":
		return slog.LevelError, true
	case "info":
		return slog.LevelInfo, true
	case "debug":
		return slog.LevelDebug, true
	}
	return 0, false
}

// count takes note of an error. It is false for one that is to be printed by itself. The first one begins a period.
func (c *consolidation) count() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.number++
	if c.number > 1 {
		return true
	}
	c.timer = time.AfterFunc(c.period, c.print)
	return !c.showFirst
}

// print ends a period.
func (c *consolidation) print() {
	c.mu.Lock()
	number := c.number
	c.number = 0
	c.mu.Unlock()
	if number == 0 || number == 1 && c.showFirst {
		return
	}
	c.log.Log(context.Background(), c.level, fmt.Sprintf("plugin/errors: %d errors like '%s' occurred in last %s",
		number, c.pattern, c.period))
}

// close ends the last period early.
func (c *consolidation) close() {
	c.mu.Lock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	c.print()
}
