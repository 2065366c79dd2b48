package peer

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// Nameplane builds this checkout's nameplane and returns the path of a binary that is t's own. The working directory
// must be inside the checkout. A test that starts several servers should build once, since the source may change
// meanwhile.
func Nameplane(t testing.TB) string {
	t.Helper()
	own := filepath.Join(t.TempDir(), "nameplane")
	if err := buildNameplane(t.Context(), own); err != nil {
		t.Fatal(err) // not a prerequisite: it has to build
	}
	return own
}

// buildNameplane links into the cache, where the go command sees when nothing has changed, and takes a copy: whoever
// builds next replaces the cached file.
func buildNameplane(ctx context.Context, own string) error {
	root, err := cacheRoot()
	if err != nil {
		return err
	}
	dir := filepath.Join(root, "nameplane")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	bin := filepath.Join(dir, "nameplane")
	err = goCommand(ctx, "", nil, "build", "-buildvcs=false", "-o", bin, "github.com/nameplane/nameplane/cmd/nameplane")
	if err != nil {
		return err
	}
	if os.Link(bin, own) == nil {
		return nil
	}
	return copyFile(own, bin) // another file system
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
