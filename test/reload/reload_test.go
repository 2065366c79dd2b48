package reload

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/test/peer"
)

const (
	queriesPerSecond = 5000
	reloads          = 100  // in a plain test
	reloadsE2E       = 1000 // end to end
)

// begin runs the program with the first good Corefile.
func begin(t *testing.T, corefile func(p ports, demo string) string) (p *program, at ports, demo string) {
	t.Helper()
	demo = t.TempDir()
	if err := os.CopyFS(demo, os.DirFS(manifests)); err != nil {
		t.Fatal(err)
	}
	occupied, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { occupied.Close() })
	upstream := startUpstream(t)
	err = peer.RetryPorts(func() (err error) {
		if at, err = choosePorts(); err != nil {
			return err
		}
		at.up = upstream
		at.taken = occupied.Addr().(*net.TCPAddr).Port
		p, err = launch(t, corefile(at, demo), at)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, at, demo
}

// question asks a name once.
func question(t *testing.T, port int, name string) *dns.Msg {
	t.Helper()
	client := dns.Client{Timeout: patience}
	reply, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA), fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatalf("%s on port %d: %v", name, port, err)
	}
	return reply
}

// TestReloads changes the Corefile again and again while queries come in, every second time for a bad one.
func TestReloads(t *testing.T) {
	p, at, demo := begin(t, func(p ports, demo string) string { return p.good(demo, 0) })
	n := reloads
	if os.Getenv(peer.Switch) == "1" {
		n = reloadsE2E
	}
	bad := at.bad(demo)
	turn := func(i int) {
		if i%2 == 0 {
			p.wantGood(at, demo, i/2+1)
			return
		}
		b := bad[i/2%len(bad)]
		if printed, good := p.reload(b.text); good || !strings.Contains(printed, b.want) {
			t.Errorf("%s: put in place is %v, want an error with %q; printed\n%s", b.name, good, b.want, printed)
		}
	}
	for i := range 2 * len(bad) { // caches and pools fill
		turn(i)
	}
	spoil(t, demo)
	before := p.holdings(at)
	failed := p.metric(at.admin, "coredns_reload_failed_total")

	l := startLoad(t, fmt.Sprintf("127.0.0.1:%d", at.stable), queriesPerSecond)
	start := time.Now()
	for i := 0; i < n && !t.Failed(); i++ {
		turn(i)
	}
	took := time.Since(start)
	total, rate := l.end()
	t.Logf("%d reloads in %s (%s each) under %.0f queries a second, %d in all", n, took, took/time.Duration(n), rate, total)

	if took > time.Minute {
		t.Errorf("it took %s, want less than a minute", took)
	}
	// A machine that does other things sends fewer; half of them are still dozens for each reload.
	if total == 0 || os.Getenv(peer.Switch) == "1" && rate < 0.5*queriesPerSecond {
		t.Errorf("%.0f queries a second, want %d", rate, queriesPerSecond)
	}
	if got := p.metric(at.admin, "coredns_reload_failed_total") - failed; got != float64(n/2) {
		t.Errorf("%v reloads failed, want %d", got, n/2)
	}
	if got := p.metric(at.admin, "nameplane_store_relists_total"); got != 0 {
		t.Errorf("the cluster was listed again %v times", got)
	}
	p.wantNoGrowth(at, before)
}

// wantGood reloads the n-th good Corefile, and asks for what is new in it.
func (p *program) wantGood(at ports, demo string, n int) {
	p.t.Helper()
	if printed, good := p.reload(at.good(demo, n)); !good {
		p.t.Fatalf("good Corefile %d is not put in place:\n%s", n, printed)
	}
	if reply := question(p.t, at.stable, "my-nginx.default.svc.cluster.local."); len(reply.Answer) != 1 || reply.Answer[0].Header().Ttl != ttlOf(n) {
		p.t.Errorf("good Corefile %d: got %v, want TTL %d", n, reply.Answer, ttlOf(n))
	}
	if reply := question(p.t, at.stable, "a.extra.example."); (len(reply.Answer) == 1) != hasExtra(n) {
		p.t.Errorf("good Corefile %d: extra.example is answered by\n%s", n, reply)
	}
	want := fmt.Sprintf("\t192.0.2.%d", n%250+1)
	if reply := question(p.t, at.movingOf(n), "a.moving.example."); len(reply.Answer) != 1 || !strings.HasSuffix(reply.Answer[0].String(), want) {
		p.t.Errorf("good Corefile %d: got %v, want %s", n, reply.Answer, want)
	}
}

// spoil makes the manifests unreadable: a store that holds their objects keeps them, but none could be filled again.
// Whether the old one lives on is thus seen in every answer.
func spoil(t *testing.T, demo string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(demo, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests in %s: %v", demo, err)
	}
	for _, file := range files {
		if err := os.WriteFile(file, []byte("kind: Service\n  spec: ["), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// held is what a process may lose hold of.
type held struct{ goroutines, files, memory float64 }

func (p *program) holdings(at ports) held {
	p.t.Helper()
	return held{
		goroutines: p.metric(at.admin, "go_goroutines"),
		files:      p.metric(at.admin, "process_open_fds"),
		memory:     p.metric(at.admin, "process_resident_memory_bytes"),
	}
}

// wantNoGrowth waits until the program holds no more than before. Connections of the load end a moment after it, and
// the number of ports and pages in use is the same, whatever the last Corefile was. Memory may grow by what the
// collector leaves under load, but not with the number of reloads.
func (p *program) wantNoGrowth(at ports, before held) {
	p.t.Helper()
	const spare = 4          // goroutines of the scrape itself
	const garbage = 40 << 20 // bytes
	for deadline := time.Now().Add(15 * time.Second); ; {
		after := p.holdings(at)
		if after.goroutines <= before.goroutines+spare && after.files <= before.files+spare && after.memory <= before.memory+garbage {
			p.t.Logf("held before %+v, after %+v", before, after)
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("it grew from %+v to %+v", before, after)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// TestConfigMap has the Corefile where a kubelet puts it, behind links that are swapped, with files that a glob brings
// in: what changes there is seen without a signal.
func TestConfigMap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	volume := func(n int, files map[string]string) {
		t.Helper()
		data := filepath.Join(dir, fmt.Sprintf("..%d", n))
		if err := os.Mkdir(data, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(data, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			_ = os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)) // there already but for the first time
		}
		fresh := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink(filepath.Base(data), fresh); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(fresh, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	zone := func(address string) string {
		return "a.example {\n bind 127.0.0.1\n hosts {\n  " + address + " a.example\n }\n}\n"
	}
	p, at, _ := begin(t, func(ports, string) string {
		return ". {\n bind 127.0.0.1\n reload 2s 0s\n hosts {\n  192.0.2.1 a.example\n }\n}\nimport " + dir + "/*.server\n"
	})
	wantAddress := func(want string) {
		t.Helper()
		reply := question(t, at.stable, "a.example.")
		if len(reply.Answer) != 1 || !strings.HasSuffix(reply.Answer[0].String(), "\t"+want) {
			t.Errorf("got %v, want %s", reply.Answer, want)
		}
	}
	wantAddress("192.0.2.1")
	for i, step := range []struct {
		name  string
		files map[string]string
		good  bool
		want  string
	}{
		{name: "a file appears", files: map[string]string{"a.server": zone("192.0.2.2")}, good: true, want: "192.0.2.2"},
		{name: "a bad one", files: map[string]string{"a.server": "a.example {\n hots\n}\n"}, want: "192.0.2.2"},
		{name: "a good one again", files: map[string]string{"a.server": zone("192.0.2.3")}, good: true, want: "192.0.2.3"},
	} {
		volume(i, step.files)
		if printed, good := p.outcome(20 * time.Second); good != step.good {
			t.Fatalf("%s: put in place is %v; printed\n%s", step.name, good, printed)
		}
		wantAddress(step.want)
	}
	if err := os.Remove(filepath.Join(dir, "a.server")); err != nil {
		t.Fatal(err)
	}
	if printed, good := p.outcome(20 * time.Second); !good {
		t.Fatalf("a file less: not put in place\n%s", printed)
	}
	wantAddress("192.0.2.1")
}
