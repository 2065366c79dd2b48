package stock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/cluster/manifest"
	"github.com/nameplane/nameplane/plugin/standard"
	"github.com/nameplane/nameplane/server"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/test/peer"
)

// TestInstalled builds a server from every Corefile as it is installed, down to the ports; nothing is opened. Only what
// is beside the Corefile is elsewhere.
func TestInstalled(t *testing.T) {
	t.Parallel()
	for _, c := range Corefiles() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			values := map[string]string{}
			if c.folder != "" {
				values["{FOLDER}"] = dir
			}
			c.Unpack(t, dir, values)
			if _, err := build(filepath.Join(dir, "Corefile"), c.Fill(values), server.Options{}); err != nil {
				t.Errorf("it does not run unmodified:\n%v", err)
			}
		})
	}
}

// TestFilled: no placeholder is left, and the block of the vendor's file is what there is.
func TestFilled(t *testing.T) {
	t.Parallel()
	left := regexp.MustCompile(`\{[A-Z]+\}`)
	for _, c := range Corefiles() {
		text := c.Fill(nil)
		if found := left.FindAllString(text, -1); found != nil {
			t.Errorf("%s: %v have no value", c.Name, found)
		}
		if !strings.Contains(text, ".:53 {\n") {
			t.Errorf("%s: no block for the root on port 53:\n%s", c.Name, text)
		}
	}
}

// TestRuns starts a server with every Corefile on ports of its own: it answers, prints its zones, and ends in good order.
func TestRuns(t *testing.T) {
	t.Parallel()
	for _, c := range Corefiles() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			ports, err := peer.FreePorts(4)
			if err != nil {
				t.Fatal(err)
			}
			at := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
			values := map[string]string{
				"{BIND}": "bind 127.0.0.1", "{ADDRESSES}": "127.0.0.1 127.0.0.53",
				"{UPSTREAM}": "127.0.0.1:9", "{CLUSTER}": "127.0.0.1:9", "{FOLDER}": dir,
				"{HEALTH}": at(0), "{READY}": at(1), "{METRICS}": at(2), "{PORT}": strconv.Itoa(ports[3]), "lameduck 5s": "lameduck 0s",
			}
			c.Unpack(t, dir, values)
			out, lines := io.Pipe()
			srv, err := build(filepath.Join(dir, "Corefile"), c.Fill(values), server.Options{Out: lines})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				err := srv.Run(ctx)
				done <- errors.Join(err, lines.Close())
			}()
			printed := make(chan string, 1)
			go func() {
				all, _ := io.ReadAll(out)
				printed <- string(all)
			}()
			select {
			case <-srv.Started():
			case err := <-done:
				t.Fatalf("it ends before it answers: %v", err)
			case <-time.After(20 * time.Second):
				t.Fatal("it does not answer")
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if got, want := <-printed, fmt.Sprintf(".:%s", values["{PORT}"]); !strings.Contains(got, want) {
				t.Errorf("printed %q, want a line with %s", got, want)
			}
		})
	}
}

// build makes a server of the text, with all directives there are; the cluster is an empty one.
func build(path, text string, options server.Options) (*server.Server, error) {
	file, err := corefile.Parse(path, []byte(text))
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	pool := cluster.NewPool(func(_ cluster.Origin, needs cluster.Needs, _ cluster.Telemetry) (cluster.Source, error) {
		return manifest.Open(cluster.Origin{Manifests: []string{"testdata/cluster"}}, needs, log)
	}, log)
	options.Specs = standard.List(pool)
	return server.New(file, options)
}
