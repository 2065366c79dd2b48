package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// Process is one running program. Its owner is a goroutine that waits for its end.
type Process struct {
	name string
	log  string // path of what it printed
	cmd  *exec.Cmd
	done chan struct{} // closed once it has ended and was waited for
}

// Log is the path of the file that holds what the program printed.
func (p *Process) Log() string { return p.log }

// Done is closed once the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Start runs bin with args, its output appended to dir/NAME.log. The program dies with this process, even if this one
// is killed: Linux ties that to the thread which started it, so one goroutine keeps that thread until the end.
func Start(dir, bin string, args ...string) (*Process, error) {
	p := &Process{name: filepath.Base(bin), done: make(chan struct{})}
	p.log = filepath.Join(dir, p.name+".log")
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	p.cmd = exec.Command(bin, args...)
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer out.Close()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // its exit status is in the process state; how it ended matters to nobody else
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	return p, nil
}

// Signal sends s; a process that has already ended is no error.
func (p *Process) Signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s: signal %s: %w", p.name, s, err)
	}
	return nil
}

// Freeze stops the program and returns once it stands still. The signal alone does not mean that: a thread on another
// processor runs on until it is interrupted, and may still answer.
func (p *Process) Freeze() error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for deadline := time.Now().Add(5 * time.Second); ; {
		if p.stopped() {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s has ended: nothing to freeze", p.name)
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s runs on after %s", p.name, syscall.SIGSTOP)
		}
	}
}

// Thaw lets a frozen program go on.
func (p *Process) Thaw() error { return p.Signal(syscall.SIGCONT) }

// stopped reports whether every thread of the program is in the state that proc(5) calls T.
func (p *Process) stopped() bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
	if err != nil || len(threads) == 0 {
		return false
	}
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			return false
		}
		// The state follows the program's name, which is in parentheses and may hold anything.
		if _, state, _ := bytes.Cut(text[bytes.LastIndexByte(text, ')')+1:], []byte(" ")); !bytes.HasPrefix(state, []byte("T")) {
			return false
		}
	}
	return true
}

// Kill ends the process at once, frozen or not, and waits until it is gone and has let go of its port.
func (p *Process) Kill() error {
	err := p.Signal(syscall.SIGKILL)
	<-p.done
	return err
}

// Await polls ready until it returns nil. It gives up when the process ends, the context does, or limit has passed.
func (p *Process) Await(ctx context.Context, limit time.Duration, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended (%s) before it was ready: %s", p.name, p.cmd.ProcessState, p.Tail(20))
		case <-ctx.Done():
			return fmt.Errorf("%s not ready within %s: %w: %s", p.name, limit, err, p.Tail(20))
		case <-tick.C:
		}
	}
}

// Tail returns the last n lines of the log.
func (p *Process) Tail(n int) string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	return "\n" + string(bytes.Join(lines[max(0, len(lines)-n):], []byte("\n")))
}

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }
