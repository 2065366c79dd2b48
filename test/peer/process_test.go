package peer

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

var errNotYet = errors.New("not yet")

// A program that ends before it is ready must be reported at once and with its own words, not after the time limit.
func TestAwaitReportsWhyAProgramEnded(t *testing.T) {
	t.Parallel()
	p, err := Start(t.TempDir(), "/bin/sh", "-c", "echo the disk is full; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	err = p.Await(t.Context(), time.Minute, func(context.Context) error { return errNotYet })
	if err == nil || !strings.Contains(err.Error(), "the disk is full") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("error %v, want what it printed and its exit status", err)
	}
}

func TestAwaitGivesUp(t *testing.T) {
	t.Parallel()
	p, err := Start(t.TempDir(), "/bin/sh", "-c", "exec sleep 60")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Await(t.Context(), 50*time.Millisecond, func(context.Context) error { return errNotYet }); !errors.Is(err, errNotYet) {
		t.Errorf("error %v, want the reason why it was not ready", err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
}

// What a program does between Freeze and Thaw must be nothing at all, from the moment that Freeze returns.
func TestFreeze(t *testing.T) {
	t.Parallel()
	p, err := Start(t.TempDir(), "/bin/sh", "-c", "while :; do echo tick; done")
	if err != nil {
		t.Fatal(err)
	}
	size := func() int64 {
		info, err := os.Stat(p.Log())
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	grown := func(than int64) func(context.Context) error {
		return func(context.Context) error {
			if size() <= than {
				return errNotYet
			}
			return nil
		}
	}
	if err := p.Await(t.Context(), 5*time.Second, grown(0)); err != nil {
		t.Fatal(err)
	}
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	frozen := size()
	if err := p.Await(t.Context(), 100*time.Millisecond, grown(frozen)); err == nil {
		t.Error("a frozen program went on printing")
	}
	if err := p.Thaw(); err != nil {
		t.Fatal(err)
	}
	if err := p.Await(t.Context(), 5*time.Second, grown(frozen)); err != nil {
		t.Errorf("after the thaw: %v", err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := p.Freeze(); err == nil {
		t.Error("froze a program that has ended")
	}
}

// A frozen program must be killed, too, and be gone when Kill returns.
func TestKillFrozen(t *testing.T) {
	t.Parallel()
	p, err := Start(t.TempDir(), "/bin/sh", "-c", "exec sleep 60")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(p.cmd.Process.Pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("signal to the killed process: %v, want %v", err, syscall.ESRCH)
	}
	if err := p.Kill(); err != nil {
		t.Errorf("second kill: %v", err)
	}
}

func TestStartWithoutProgram(t *testing.T) {
	t.Parallel()
	if _, err := Start(t.TempDir(), "/nonexistent/etcd"); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "etcd") {
		t.Errorf("error %v, want the name of the program that is missing", err)
	}
}

func TestRetryPorts(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, collision := net.Listen("tcp4", taken.Addr().String())
	if collision == nil {
		t.Fatal("bound a port twice")
	}
	for _, tc := range []struct {
		name  string
		fails []error // of one call after the other
		calls int
		ok    bool
	}{
		{name: "at once", calls: 1, ok: true},
		{name: "port taken once", fails: []error{collision}, calls: 2, ok: true},
		{name: "port taken always", fails: []error{collision, collision, collision, collision}, calls: 3},
		{name: "other reason", fails: []error{errNotYet, nil}, calls: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			err := RetryPorts(func() error {
				calls++
				if calls <= len(tc.fails) {
					return tc.fails[calls-1]
				}
				return nil
			})
			if calls != tc.calls || (err == nil) != tc.ok {
				t.Errorf("%d calls, error %v; want %d calls, success %v", calls, err, tc.calls, tc.ok)
			}
		})
	}
}
