package demo

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

var lameduck = regexp.MustCompile(`lameduck \S+`)

// TestD12LameduckAnswersWithLiveData: after SIGTERM the program answers on for the lameduck time, and what changes in that
// time is in its answers; a drain must not lead clients to endpoints that are gone. CoreDNS's are frozen by then.
func TestD12LameduckAnswersWithLiveData(t *testing.T) {
	dir := copyDemo(t)
	server := startDemoWith(t, dir, func(corefile string) string {
		return lameduck.ReplaceAllString(corefile, "lameduck 3s")
	})
	path := filepath.Join(dir, "database.yaml")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	members := func(want int) func() error {
		return func() error {
			reply := server.ask(t, "db.prod.svc.cluster.local.", dns.TypeA)
			if len(reply.Answer) != want {
				return fmt.Errorf("%d addresses, want %d: %v", len(reply.Answer), want, reply.Answer)
			}
			return nil
		}
	}
	within(t, 5*time.Second, members(3))

	if err := server.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	write(t, path, strings.Replace(string(before), "podIP: 127.244.3.10}", "podIP: 127.244.3.10, conditions: [{type: Ready, status: \"False\"}]}", 1))
	within(t, 2*time.Second, members(2))

	select {
	case <-server.process.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the program still runs 10 s after SIGTERM with a lameduck of 3 s")
	}
}
