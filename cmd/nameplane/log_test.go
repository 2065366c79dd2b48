package main

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestLogLines(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		log  func(l *slog.Logger)
		want string
	}{
		{name: "plain", log: func(l *slog.Logger) { l.Info("draining") }, want: "[INFO] draining\n"},
		{
			name: "of a directive",
			log: func(l *slog.Logger) {
				l.WithGroup("plugin/kubernetes").Warn("waiting", "source", "https://10.0.0.1:6443")
			},
			want: "[WARNING] plugin/kubernetes: waiting source=https://10.0.0.1:6443\n",
		},
		{name: "error", log: func(l *slog.Logger) { l.Error("lost", "error", errors.New("no route")) }, want: "[ERROR] lost error=\"no route\"\n"},
		{name: "below the level", log: func(l *slog.Logger) { l.Debug("unheard") }},
		{
			name: "attributes of the logger",
			log: func(l *slog.Logger) {
				l.WithGroup("p").With("a", 1).WithGroup("g").With("b", true).Info("m", "c", time.Second)
			},
			want: "[INFO] p: m a=1 g.b=true g.c=1s\n",
		},
		{name: "group", log: func(l *slog.Logger) { l.Info("m", slog.Group("g", "a", 1, "b", 2)) }, want: "[INFO] m g.a=1 g.b=2\n"},
		// A value must neither end the line nor look like two.
		{name: "quoted", log: func(l *slog.Logger) { l.Info("m", "a", "x\n[INFO] y", "b", "", "c", "d=e") }, want: "[INFO] m a=\"x\\n[INFO] y\" b=\"\" c=\"d=e\"\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			test.log(slog.New(newLineHandler(&out, slog.LevelInfo)))
			if out.String() != test.want {
				t.Errorf("got %q, want %q", out.String(), test.want)
			}
		})
	}
}
