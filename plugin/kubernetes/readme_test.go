package kubernetes

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/nameplane/nameplane/test/block"
)

// TestReadme: every example builds.
func TestReadme(t *testing.T) {
	t.Parallel()
	block.BuildExamples(t, Spec(newPool(block.NewEnv(io.Discard))))
}

// TestReadmeNamesEverything: an option or a metric without a word about it is one that nobody finds.
func TestReadmeNamesEverything(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	b := newUnsynced(t, plainCorefile)
	b.metrics.telemetry().Request("GET", "a", "200", 0)
	b.metrics.telemetry().Limited("GET", "a", 0)
	b.metrics.programming.WithLabelValues("cluster_ip")
	families, err := b.env.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if len(families) != 4 {
		t.Fatalf("%d metrics, want 4", len(families))
	}
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	_, _, _, err = parse(t, "kubernetes {\n unknown\n}", nil)
	_, known, _ := strings.Cut(err.Error(), "known options: ")
	names = append(names, strings.Split(strings.TrimSuffix(known, ")"), ", ")...)
	for _, name := range names {
		if !strings.Contains(string(text), "`"+name) {
			t.Errorf("README.md does not name `%s`", name)
		}
	}
}
