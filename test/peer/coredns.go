package peer

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// CoreDNSVersion is the release that Nameplane is compared with.
const CoreDNSVersion = "v1.15.0"

// BuildCoreDNS returns the path of a coredns binary of version CoreDNSVersion with its stock set of plugins.
func BuildCoreDNS(ctx context.Context) (string, error) {
	dir, err := cached(ctx, "coredns-"+CoreDNSVersion, func(ctx context.Context, dir string) error {
		return goCommand(ctx, dir, []string{"GOBIN=" + dir}, "install", "github.com/coredns/coredns@"+CoreDNSVersion)
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "coredns"), nil
}

// StartCoreDNS runs coredns with the text of a Corefile and returns the address that it answers on, over UDP and TCP,
// once it does. Server blocks must name no port; those that `bind 127.0.0.1` stay out of the machine's other networks.
// It ends with the test, and its log is printed if the test has failed.
func StartCoreDNS(t testing.TB, corefile string) string {
	t.Helper()
	bin, dir := CoreDNS(t), t.TempDir()
	path := filepath.Join(dir, "Corefile")
	if err := os.WriteFile(path, []byte(corefile), 0o644); err != nil {
		t.Fatal(err)
	}
	var p *Process
	var address string
	t.Cleanup(func() {
		if p == nil {
			return
		}
		if t.Failed() {
			t.Logf("%s: %s", p.Log(), p.Tail(30))
		}
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	err := RetryPorts(func() error {
		ports, err := FreePorts(1)
		if err != nil {
			return err
		}
		address = net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0]))
		if p, err = Start(dir, bin, "-conf", path, "-dns.port", strconv.Itoa(ports[0])); err != nil {
			return err
		}
		if err := p.Await(t.Context(), 30*time.Second, answersTCP(address)); err != nil {
			return errors.Join(err, p.Kill())
		}
		return nil
	})
	if err != nil {
		t.Fatalf("coredns: %v", err)
	}
	return address
}

// answersTCP tries to connect: CoreDNS opens its sockets only when its plugins have started.
func answersTCP(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp4", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}
