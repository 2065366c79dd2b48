package main

import (
	"bytes"
	"io"
	"log/slog"
)

// speech is what the program says on its standard output.
type speech struct {
	log   *slog.Logger
	level *slog.LevelVar
	start io.Writer // what is served, and by which version; it goes nowhere with -quiet
}

func newSpeech(f *flags, stdout io.Writer) *speech {
	s := &speech{level: new(slog.LevelVar), start: stdout}
	s.log = slog.New(newLineHandler(stdout, s.level))
	if f.format == "json" {
		s.log = slog.New(newJSONHandler(stdout, s.level))
		s.start = lineLogger{s.log}
	}
	if f.quiet {
		s.start = io.Discard
	}
	return s
}

// lineLogger logs what is written to it line by line, so that start lines are objects as well.
type lineLogger struct{ log *slog.Logger }

// Write implements io.Writer.
func (l lineLogger) Write(text []byte) (int, error) {
	for line := range bytes.Lines(text) {
		l.log.Info(string(bytes.TrimRight(line, "\n")))
	}
	return len(text), nil
}
