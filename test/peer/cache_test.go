package peer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestCachedBuildsOnce(t *testing.T) {
	t.Setenv("NAMEPLANE_CACHE", t.TempDir())
	var builds atomic.Int32
	fill := func(_ context.Context, dir string) error {
		builds.Add(1)
		return os.WriteFile(filepath.Join(dir, "binary"), []byte("x"), 0o755)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			dir, err := cached(t.Context(), "thing-v1", fill)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := os.Stat(filepath.Join(dir, "binary")); err != nil {
				t.Errorf("returned before the content was complete: %v", err)
			}
		})
	}
	wg.Wait()
	if n := builds.Load(); n != 1 {
		t.Errorf("built %d times, want 1", n)
	}
	if dir, err := cached(t.Context(), "thing-v2", fill); err != nil || builds.Load() != 2 {
		t.Errorf("another version: %q, %v after %d builds, want a second build", dir, err, builds.Load())
	}
}

func TestCachedKeepsNothingOfAFailure(t *testing.T) {
	root := t.TempDir()
	t.Setenv("NAMEPLANE_CACHE", root)
	broken := errors.New("compiler is unhappy")
	_, err := cached(t.Context(), "thing-v1", func(_ context.Context, dir string) error {
		if err := os.WriteFile(filepath.Join(dir, "half"), nil, 0o644); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "thing-v1") {
		t.Errorf("error %v, want the cause and the name of what was built", err)
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			t.Errorf("left %s behind", e.Name())
		}
	}
}

func TestGoCommandReportsTheCompilersWords(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module broken\n\ngo 1.26.0\n", "main.go": "package main\n\nfunc main() { undefinedThing() }\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	err := goCommand(t.Context(), dir, nil, "build", "-o", os.DevNull, ".")
	if err == nil || !strings.Contains(err.Error(), "undefinedThing") {
		t.Errorf("error %v, want the compiler's message", err)
	}
}

func TestKubernetesVersion(t *testing.T) {
	for _, tc := range []struct {
		name  string
		gomod string
		want  version
	}{
		{name: "requirement", gomod: "require (\n\tk8s.io/kubernetes v1.36.3\n)\n", want: version{git: "v1.36.3", major: "1", minor: "36"}},
		{name: "pre-release", gomod: "require k8s.io/kubernetes v1.37.0-rc.0\n", want: version{git: "v1.37.0-rc.0", major: "1", minor: "37"}},
		{name: "absent", gomod: "require k8s.io/api v0.36.3\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "go.mod")
			if err := os.WriteFile(path, []byte(tc.gomod), 0o644); err != nil {
				t.Fatal(err)
			}
			got, err := kubernetesVersion(path)
			if got != tc.want || (err == nil) != (tc.want != version{}) {
				t.Errorf("got %+v, %v; want %+v", got, err, tc.want)
			}
		})
	}
}

// The source that CI would build must be found from a package's folder, which is where tests run.
func TestControlPlaneSource(t *testing.T) {
	source, err := controlPlaneSource()
	if err != nil {
		t.Fatal(err)
	}
	if v, err := kubernetesVersion(filepath.Join(source, "go.mod")); err != nil || v.major != "1" {
		t.Errorf("version %+v, %v; want a Kubernetes 1.x", v, err)
	}
	t.Chdir(t.TempDir())
	if _, err := controlPlaneSource(); err == nil {
		t.Error("found a source outside the checkout")
	}
}
