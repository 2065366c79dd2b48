package main

import (
	"io"
	"log/slog"
	"strings"
)

// jsonHandler is a slog.Handler that prints objects as CoreDNS's -log-format json does, one a line. The part of the
// program that speaks, which is the first group, is the attribute "plugin".
type jsonHandler struct {
	slog.Handler
	named bool
}

func newJSONHandler(w io.Writer, level slog.Leveler) slog.Handler {
	return jsonHandler{Handler: slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})}
}

// WithGroup implements slog.Handler.
func (h jsonHandler) WithGroup(name string) slog.Handler {
	if h.named {
		return jsonHandler{h.Handler.WithGroup(name), true}
	}
	speaker := slog.String("plugin", strings.TrimPrefix(name, "plugin/"))
	return jsonHandler{h.Handler.WithAttrs([]slog.Attr{speaker}), true}
}

// WithAttrs implements slog.Handler.
func (h jsonHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return jsonHandler{h.Handler.WithAttrs(attrs), h.named}
}
