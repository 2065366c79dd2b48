package netns

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nameplane/nameplane/test/peer"
)

// The modes of the directive that forward.
const (
	nftables = "nftables"
	relay    = "relay"
	// kubeProxy is the peer.
	kubeProxy = "kube-proxy"
)

// options are what a test wants of the subject.
type options struct {
	mode     string
	services string // what the option services says; empty for all
	origin   string // what the kubernetes directive says of the source; empty for a folder of manifests
	allow    string // what the option allow_from says; empty for the default
	extra    string // more options of the directive
}

// subject is the program under test: the forwarder of the node.
type subject struct {
	options options
	dir     string
	bin     string
	folder  folder
	process *peer.Process
}

// newSubject prepares a subject with the nodes in its folder; start starts it.
func newSubject(t testing.TB, w *world, o options) *subject {
	t.Helper()
	s := &subject{options: o, dir: t.TempDir(), bin: peer.Nameplane(t)}
	s.folder = folder(filepath.Join(s.dir, "manifests"))
	if err := os.Mkdir(string(s.folder), 0o755); err != nil {
		t.Fatal(err)
	}
	s.folder.put(t, "nodes", w.nodes()...)
	s.writeCorefile(t)
	t.Cleanup(func() { s.end(t) })
	return s
}

func (s *subject) corefile() string { return filepath.Join(s.dir, "Corefile") }

func (s *subject) writeCorefile(t testing.TB) {
	t.Helper()
	services, origin := cmp.Or(s.options.services, "all"), cmp.Or(s.options.origin, "manifests "+string(s.folder))
	text := fmt.Sprintf(`.:53 {
    bind 127.0.0.1
    errors
    prometheus 127.0.0.1:9153
    vip {
        mode %s
        node %s
        services %s
        service_cidr %s
        pod_cidr %s
        allow_from %s
        %s
    }
    kubernetes cluster.local {
        %s
    }
}
`, s.options.mode, nodeName, services, serviceCIDRs, podCIDRs, cmp.Or(s.options.allow, "pods node"), s.options.extra, origin)
	if err := os.WriteFile(s.corefile(), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// start runs the program and waits until it has said that it runs.
func (s *subject) start(t testing.TB) *subject {
	t.Helper()
	from := len(s.log())
	var err error
	if s.process, err = peer.Start(s.dir, s.bin, "-conf", s.corefile()); err != nil {
		t.Fatal(err)
	}
	err = s.process.Await(t.Context(), 20*time.Second, func(context.Context) error {
		if !strings.Contains(s.log()[from:], "Nameplane-") {
			return fmt.Errorf("it has not started")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// kill ends the program as a crash does.
func (s *subject) kill(t testing.TB) {
	t.Helper()
	if err := s.process.Kill(); err != nil {
		t.Fatal(err)
	}
}

// end stops the program and takes its rules away; what it printed is shown when the test has failed.
func (s *subject) end(t testing.TB) {
	if s.process != nil {
		if err := s.process.Kill(); err != nil {
			t.Error(err)
		}
	}
	if t.Failed() && s.process != nil {
		t.Log(s.process.Tail(40))
	}
	if s.process == nil {
		return
	}
	if _, err := s.command(t, "cleanup"); err != nil {
		t.Error(err)
	}
}

// log is all that the program printed.
func (s *subject) log() string {
	text, _ := os.ReadFile(filepath.Join(s.dir, filepath.Base(s.bin)+".log"))
	return string(text)
}

// metric is the sum over all series of a metric; 0 when there are none.
func (s *subject) metrics(t testing.TB) string {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get("http://127.0.0.1:9153/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// command runs "nameplane vip ..." beside the program, and returns what it printed.
func (s *subject) command(t testing.TB, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(s.bin, append([]string{"vip", "-timeout", "30s"}, args...)...) // also at the test's end, without its context
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args[1:], " "), err, out)
	}
	return string(out), err
}
