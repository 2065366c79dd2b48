package reload

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nameplane/nameplane/test/peer"
)

// program is the program under test, with its Corefile.
type program struct {
	t       *testing.T
	dir     string
	process *peer.Process
	read    int // bytes of the log that were waited for
}

// launch runs the program. Ports are taken by others now and then: whoever calls chooses new ones and tries again.
func launch(t *testing.T, corefile string, ports ports) (*program, error) {
	t.Helper()
	p := &program{t: t, dir: t.TempDir()}
	if err := p.write(corefile); err != nil {
		t.Fatal(err)
	}
	var err error
	p.process, err = peer.Start(p.dir, peer.Nameplane(t), "-conf", p.path(), "-dns.port", strconv.Itoa(ports.stable))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.process.Tail(40))
		}
		if err := p.process.Kill(); err != nil {
			t.Error(err)
		}
	})
	err = p.process.Await(t.Context(), 20*time.Second, func(context.Context) error {
		if !strings.Contains(p.log(0), "Nameplane-") {
			return fmt.Errorf("it has not started")
		}
		return nil
	})
	p.read = len(p.log(0))
	return p, err
}

func (p *program) path() string { return filepath.Join(p.dir, "Corefile") }

func (p *program) write(corefile string) error {
	return os.WriteFile(p.path(), []byte(corefile), 0o644)
}

// log is what the program printed, from a place on.
func (p *program) log(from int) string {
	text, err := os.ReadFile(p.process.Log())
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text[min(from, len(text)):])
}

// reload puts a Corefile on the disk, says so by SIGUSR1, and returns what the program printed up to the outcome.
func (p *program) reload(corefile string) (printed string, good bool) {
	p.t.Helper()
	if err := p.write(corefile); err != nil {
		p.t.Fatal(err)
	}
	if err := p.process.Signal(syscall.SIGUSR1); err != nil {
		p.t.Fatal(err)
	}
	return p.outcome(20 * time.Second)
}

// outcome waits for the end of a reload.
func (p *program) outcome(limit time.Duration) (printed string, good bool) {
	p.t.Helper()
	for deadline := time.Now().Add(limit); ; {
		printed = p.log(p.read)
		for _, end := range []struct {
			line string
			good bool
		}{{"\n[INFO] reloaded ", true}, {"reload failed", false}} {
			if _, rest, found := strings.Cut("\n"+printed, end.line); found && strings.Contains(rest, "\n") {
				p.read += len(printed)
				return printed, end.good
			}
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("no reload within %s; printed since: %q", limit, printed)
		}
		select {
		case <-time.After(time.Millisecond):
		case <-p.process.Done():
			p.t.Fatal("the program ended")
		}
	}
}

// metric is the first metric of the program whose name, or name and first labels, these are.
func (p *program) metric(admin int, name string) float64 {
	p.t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", admin))
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range bytes.Lines(page) {
		text := strings.TrimSpace(string(line))
		if strings.HasPrefix(text, name+" ") || strings.HasPrefix(text, name+"{") || strings.HasPrefix(text, name+",") {
			v, err := strconv.ParseFloat(text[strings.LastIndexByte(text, ' ')+1:], 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return v
		}
	}
	p.t.Fatalf("no metric %s", name)
	return 0
}
