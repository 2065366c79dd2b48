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

// StartCoreDNS runs coredns as StartServer does.
func StartCoreDNS(t testing.TB, corefile string) string {
	t.Helper()
	address, _ := StartServer(t, CoreDNS(t), corefile)
	return address
}

// StartNameplane runs this checkout's nameplane as StartServer does.
func StartNameplane(t testing.TB, corefile string) string {
	t.Helper()
	address, _ := StartServer(t, Nameplane(t), corefile)
	return address
}

// StartServer runs a DNS server with the text of a Corefile and returns the address of loopback that it answers on,
// over UDP and TCP, once it does. At least one server block must name no port; those that `bind 127.0.0.1` stay out of
// the machine's other networks. The server ends with the test, and its log is printed if the test has failed.
func StartServer(t testing.TB, bin, corefile string) (string, *Process) {
	t.Helper()
	dir := t.TempDir()
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
		t.Fatalf("%s: %v", filepath.Base(bin), err)
	}
	return address, p
}

// answersTCP tries to connect: both servers open their sockets only when their plugins have started.
func answersTCP(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp4", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}
