package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
)

// lineHandler is a slog.Handler that prints lines in CoreDNS's form, which log collectors of clusters know:
//
//	[INFO] plugin/kubernetes: message key=value
//
// The first group is the part of the program that speaks; further groups qualify keys.
type lineHandler struct {
	level  slog.Leveler
	out    *lineWriter
	prefix string // "plugin/kubernetes: "
	group  string // "group."
	attrs  string // " key=value", from WithAttrs
}

// lineWriter keeps lines whole.
type lineWriter struct {
	mu sync.Mutex
	w  io.Writer // guarded by mu
}

func newLineHandler(w io.Writer, level slog.Leveler) *lineHandler {
	return &lineHandler{level: level, out: &lineWriter{w: w}}
}

// Enabled implements slog.Handler.
func (h *lineHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

// WithGroup implements slog.Handler.
func (h *lineHandler) WithGroup(name string) slog.Handler {
	with := *h
	if h.prefix == "" {
		with.prefix = name + ": "
	} else {
		with.group += name + "."
	}
	return &with
}

// WithAttrs implements slog.Handler.
func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	line := []byte(h.attrs)
	for _, a := range attrs {
		line = appendAttr(line, h.group, a)
	}
	with.attrs = string(line)
	return &with
}

// Handle implements slog.Handler.
func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	line := make([]byte, 0, 256)
	line = append(line, '[')
	line = append(line, levelName(r.Level)...)
	line = append(line, "] "...)
	line = append(line, h.prefix...)
	line = append(line, r.Message...)
	line = append(line, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		line = appendAttr(line, h.group, a)
		return true
	})
	line = append(line, '\n')
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	_, err := h.out.w.Write(line)
	return err
}

func levelName(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return "ERROR"
	case level >= slog.LevelWarn:
		return "WARNING"
	case level >= slog.LevelInfo:
		return "INFO"
	default:
		return "DEBUG"
	}
}

func appendAttr(line []byte, group string, a slog.Attr) []byte {
	value := a.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, inner := range value.Group() {
			line = appendAttr(line, group, inner)
		}
		return line
	}
	if a.Equal(slog.Attr{}) {
		return line
	}
	line = fmt.Appendf(line, " %s%s=", group, a.Key)
	text := value.String()
	if text == "" || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c == '"' || c == '=' || !strconv.IsPrint(c) }) {
		return strconv.AppendQuote(line, text)
	}
	return append(line, text...)
}
