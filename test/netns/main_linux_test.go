package netns

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/nameplane/nameplane/test/peer"
)

// roleVariable tells a copy of the test binary what it is: nothing for the one that `go test` started.
const (
	roleVariable = "NAMEPLANE_NETNS_ROLE"
	roleNode     = "node"
	roleAgent    = "agent"
)

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case roleAgent:
		os.Exit(runAgent())
	case roleNode:
		if err := usable(); err != nil {
			os.Setenv(unableVariable, err.Error())
		}
		// Tests wait more than they work: many at once keep two processors busy.
		if err := flag.Set("test.parallel", "16"); err != nil {
			panic(err)
		}
		os.Exit(m.Run())
	}
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin") // where ip and nft are, also for those who are not root
	unable := lacking()
	if unable == nil {
		var code int
		if code, unable = enter(); unable == nil {
			os.Exit(code)
		}
	}
	os.Setenv(unableVariable, unable.Error())
	os.Exit(m.Run())
}

// unableVariable holds why there are no namespaces.
const unableVariable = "NAMEPLANE_NETNS_UNABLE"

// lacking tells which of the tools that build the network are not installed.
func lacking() error {
	var errs []error
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// usable tells what a namespace cannot be used for that was given to us: containers have a /proc/sys that is read-only, and
// kernels may lack nftables.
func usable() error {
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return err
	}
	if out, err := exec.Command("nft", "list", "tables").CombinedOutput(); err != nil {
		return fmt.Errorf("nft list tables: %w: %s", err, out)
	}
	return nil
}

// enter runs this binary again as the node, in network and mount namespaces of its own, and returns its exit code.
func enter() (int, error) {
	if os.Getenv(peer.Switch) == "1" {
		// The first build downloads modules, which nobody can in there. What goes wrong is told by the test that asks again.
		_, _ = peer.BuildControlPlane(context.Background())
	}
	runtime.LockOSThread() // the inner process dies with the thread that started it
	err := errors.ErrUnsupported
	for _, attr := range isolations() {
		attr.Pdeathsig = syscall.SIGKILL
		inner := exec.Command("/proc/self/exe", os.Args[1:]...)
		inner.Env = append(os.Environ(), roleVariable+"="+roleNode)
		inner.Stdin, inner.Stdout, inner.Stderr = os.Stdin, os.Stdout, os.Stderr
		inner.SysProcAttr = attr
		if err = inner.Start(); err != nil {
			continue
		}
		err = inner.Wait()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() >= 0 {
			return exit.ExitCode(), nil
		} else if err != nil {
			fmt.Fprintln(os.Stderr, "the node:", err)
			return 1, nil
		}
		return 0, nil
	}
	return 0, fmt.Errorf("no namespaces: %w", err)
}

// isolations are the ways into namespaces, the plainest first: root does without a user namespace.
func isolations() (ways []*syscall.SysProcAttr) {
	const own = syscall.CLONE_NEWNET | syscall.CLONE_NEWNS
	if os.Geteuid() == 0 {
		ways = append(ways, &syscall.SysProcAttr{Cloneflags: own})
	}
	return append(ways, &syscall.SysProcAttr{
		Cloneflags:  own | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	})
}

// need skips the test where namespaces cannot be had; where the exam is required, that is an error.
func need(t testing.TB) {
	t.Helper()
	reason := os.Getenv(unableVariable)
	if reason == "" {
		return
	}
	reason = "SKIP vip-netns: " + reason
	if os.Getenv("VIP_EXAM_REQUIRED") == "1" {
		t.Fatal(reason)
	}
	peer.Missing(t, reason)
}
