package peer

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

type builder func(context.Context) (path string, err error)

// cached returns the cache's folder for name and this toolchain. When there is none, fill makes its content in a folder
// beside it, which is then renamed: a folder that has the final name is complete. Test binaries run in parallel
// processes, hence the file lock: the first one builds, the others wait for it.
func cached(ctx context.Context, name string, fill func(ctx context.Context, dir string) error) (string, error) {
	root, err := cacheRoot()
	if err != nil {
		return "", err
	}
	final := filepath.Join(root, fmt.Sprintf("%s-%s-%s-%s", name, runtime.Version(), runtime.GOOS, runtime.GOARCH))
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(final + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	work, err := os.MkdirTemp(root, "building-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	if err := fill(ctx, work); err != nil {
		return "", fmt.Errorf("building %s: %w", name, err)
	}
	if err := os.Chmod(work, 0o755); err != nil { // a temporary folder is closed to other users
		return "", err
	}
	return final, os.Rename(work, final)
}

// cacheRoot is $NAMEPLANE_CACHE, or a folder of our own in the user's cache.
func cacheRoot() (string, error) {
	if dir := os.Getenv("NAMEPLANE_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no place for built peers, set NAMEPLANE_CACHE: %w", err)
	}
	return filepath.Join(dir, "nameplane"), nil
}

// lock takes an exclusive lock on a file; the kernel lets go of it when the process ends, however it ends.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

// goCommand runs the go command in dir. Flags that the developer set for the product (-race, -mod) are not for peers;
// with CGO off the binaries run in bare namespaces too.
func goCommand(ctx context.Context, dir string, env []string, args ...string) error {
	_, err := goOutput(ctx, dir, env, args...)
	return err
}

// goOutput is goCommand's standard output.
func goOutput(ctx context.Context, dir string, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	cmd.Env = append(cmd.Env, env...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", args[0], err, tail(append(said.Bytes(), out...), 20))
	}
	return out, nil
}

// tail returns the last n lines of text.
func tail(text []byte, n int) []byte {
	lines := bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-n):], []byte("\n"))
}
