package apiwatch

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/nameplane/nameplane/cluster"
)

// An outage is a line when it begins and one when it ends, and one for each thing that somebody has to act upon.
func TestTrouble(t *testing.T) {
	t.Parallel()
	log := &syncBuffer{}
	store, writer := cluster.NewStore()
	trouble := &trouble{writer: writer, log: slog.New(slog.NewTextHandler(log, nil))}
	const refused, away, rights = "connection refused", "503", "403: may not list"
	for _, step := range []struct {
		name    string
		do      func()
		lines   int      // of log, in all
		failure []string // parts of the status; none for an empty one
	}{
		{name: "the first kind", do: func() { trouble.begin(cluster.KindPod, refused, false) }, lines: 1, failure: []string{"pods not followed since 2", refused}},
		{name: "the same again", do: func() { trouble.begin(cluster.KindPod, refused, false) }, lines: 1, failure: []string{refused}},
		{
			name: "another kind", do: func() { trouble.begin(cluster.KindService, refused, false) },
			lines: 1, failure: []string{"services, pods not followed since"},
		},
		{
			name: "for another reason", do: func() { trouble.begin(cluster.KindService, away, false) },
			lines: 1, failure: []string{"services not followed since", away, "; pods not followed since", refused},
		},
		{name: "for want of a right", do: func() { trouble.begin(cluster.KindService, rights, true) }, lines: 2, failure: []string{rights, refused}},
		{name: "still", do: func() { trouble.begin(cluster.KindService, rights, true) }, lines: 2, failure: []string{rights}},
		{name: "one is followed", do: func() { trouble.end(cluster.KindService) }, lines: 2, failure: []string{"pods not followed"}},
		{name: "one that had no trouble", do: func() { trouble.end(cluster.KindNamespace) }, lines: 2, failure: []string{"pods not followed"}},
		{name: "all are", do: func() { trouble.end(cluster.KindPod) }, lines: 3},
		{name: "and stay so", do: func() { trouble.end(cluster.KindPod) }, lines: 3},
	} {
		step.do()
		failure := store.Status().Failure
		for _, part := range step.failure {
			if !strings.Contains(failure, part) {
				t.Errorf("%s: status %q does not say %q", step.name, failure, part)
			}
		}
		if len(step.failure) == 0 && failure != "" {
			t.Errorf("%s: status %q, want none", step.name, failure)
		}
		if lines := strings.Count(log.String(), "\n"); lines != step.lines {
			t.Errorf("%s: %d lines of log, want %d:\n%s", step.name, lines, step.lines, log)
		}
	}
	if !strings.Contains(log.String(), "following again after") {
		t.Errorf("the end is not logged:\n%s", log)
	}
}
