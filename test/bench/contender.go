package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nameplane/nameplane/test/peer"
)

// contender is a server that is measured.
type contender struct {
	name    string
	bin     string
	process *peer.Process
	port    int
	ready   int           // port of the "ready" directive
	took    time.Duration // from the start of the process until it was ready
}

// contenders are both servers, built but not started.
func contenders(b *testing.B) []*contender {
	b.Helper()
	return []*contender{{name: "coredns", bin: peer.CoreDNS(b)}, {name: "nameplane", bin: peer.Nameplane(b)}}
}

// startEcho is the floor under all figures: a server that does nothing.
func startEcho(b *testing.B) *contender {
	b.Helper()
	dir := b.TempDir()
	c := &contender{name: "echo", bin: filepath.Join(dir, "echo")}
	build := exec.CommandContext(b.Context(), "go", "build", "-o", c.bin, "github.com/nameplane/nameplane/test/bench/echo")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
	err := peer.RetryPorts(func() error {
		ports, err := peer.FreePorts(1)
		if err != nil {
			return err
		}
		c.port = ports[0]
		c.process, err = peer.Start(dir, "taskset", "-c", "0", c.bin, net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)))
		if err != nil {
			return err
		}
		if err := c.process.Await(b.Context(), time.Minute, c.echoes); err != nil {
			return errors.Join(err, c.process.Kill())
		}
		return nil
	})
	if err != nil {
		b.Fatalf("%s: %v", c.name, err)
	}
	b.Cleanup(func() { _ = c.process.Kill() })
	return c
}

func (c *contender) echoes(context.Context) error {
	conn, err := net.Dial("udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write(make([]byte, 12)); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 12))
	return err
}

// start runs the server on the first processor with a Corefile made for the port of its readiness.
func (c *contender) start(b *testing.B, corefile func(ready int) string) {
	b.Helper()
	dir := b.TempDir()
	err := peer.RetryPorts(func() error {
		ports, err := peer.FreePorts(2)
		if err != nil {
			return err
		}
		c.port, c.ready = ports[0], ports[1]
		path := filepath.Join(dir, "Corefile")
		if err := os.WriteFile(path, []byte(corefile(c.ready)), 0o644); err != nil {
			return err
		}
		begin := time.Now()
		c.process, err = peer.Start(dir, "taskset", "-c", "0", c.bin, "-conf", path, "-dns.port", strconv.Itoa(c.port))
		if err != nil {
			return err
		}
		if err := c.process.Await(b.Context(), time.Minute, c.isReady); err != nil {
			return errors.Join(err, c.process.Kill())
		}
		c.took = time.Since(begin)
		return nil
	})
	if err != nil {
		b.Fatalf("%s: %v", c.name, err)
	}
	b.Cleanup(func() { _ = c.process.Kill() })
}

func (c *contender) isReady(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort("127.0.0.1", strconv.Itoa(c.ready))+"/ready", nil)
	if err != nil {
		return err
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("/ready: %s", reply.Status)
	}
	return nil
}
