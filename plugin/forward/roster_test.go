package forward

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func tos(h *Handler) string {
	var list []string
	for _, u := range *h.forwards[0].upstreams.Load() {
		list = append(list, u.to)
	}
	return strings.Join(list, " ")
}

// TestResolvConfChanges: a file is read again; upstreams that stay keep what is known of them, and a file that cannot be
// read changes nothing.
func TestResolvConfChanges(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "resolv.conf")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("nameserver 192.0.2.1\nnameserver 192.0.2.2\n")
	h, _, log := built(t, ". 192.0.2.9:5353 "+path)
	r := h.rosters[0]
	before := *h.forwards[0].upstreams.Load()
	steps := []struct {
		name, text string // no text: the file is gone
		want       string
		logged     string // what the log has then, once
	}{
		{name: "as it was", text: "nameserver 192.0.2.1\nnameserver 192.0.2.2\n", want: "192.0.2.9:5353 192.0.2.1:53 192.0.2.2:53"},
		{name: "a comment", text: "# x\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n", want: "192.0.2.9:5353 192.0.2.1:53 192.0.2.2:53"},
		{name: "one goes, one comes", text: "nameserver 192.0.2.2\nnameserver 192.0.2.3\n", want: "192.0.2.9:5353 192.0.2.2:53 192.0.2.3:53",
			logged: "[INFO] upstreams are now 192.0.2.9:5353, 192.0.2.2:53, 192.0.2.3:53\n"},
		{name: "half written", text: "nameserver ", want: "192.0.2.9:5353", logged: "[INFO] upstreams are now 192.0.2.9:5353\n"},
		{name: "malformed", text: "nameserver x\n", want: "192.0.2.9:5353", logged: `:1: nameserver "x" is not an IP address`},
		{name: "gone", want: "192.0.2.9:5353", logged: "the upstreams stay as they are: "},
		{name: "back", text: "nameserver 192.0.2.2\n", want: "192.0.2.9:5353 192.0.2.2:53", logged: "[INFO] upstreams are now 192.0.2.9:5353, 192.0.2.2:53\n"},
	}
	for _, step := range steps {
		if step.text == "" {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		} else {
			write(step.text)
		}
		already := len(log.String())
		r.refresh()
		r.refresh()
		if got := tos(h); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
		said := log.String()[already:]
		if step.logged == "" && said != "" || strings.Count(said, step.logged) != 1 && step.logged != "" {
			t.Errorf("%s: the log says %q, want %q once", step.name, said, step.logged)
		}
	}
	after := *h.forwards[0].upstreams.Load()
	if before[0] != after[0] {
		t.Error("an upstream that stayed was made anew")
	}
	for _, u := range before[1:] {
		select {
		case <-u.gone:
		default:
			t.Errorf("%s was not closed", u.to)
		}
	}
}

// Alone, a file without a name server would leave nobody to ask.
func TestResolvConfBecomesEmpty(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(path, []byte("nameserver 192.0.2.1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h, _, log := built(t, ". "+path)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h.rosters[0].refresh()
	if tos(h) != "192.0.2.1:53" || !strings.Contains(log.String(), "has no nameserver line") {
		t.Errorf("upstreams %q, log %q", tos(h), log)
	}
}

// Queries go on while upstreams change.
func TestChangeUnderLoad(t *testing.T) {
	t.Parallel()
	one, two := newServer(t, answerAll), newServer(t, answerAll)
	h, _, _ := built(t, ". "+one.addr)
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if m, err := ask(t, h, strings.Repeat("x", i+1)+".example.org."); err != nil || len(m.Answer) != 1 {
					t.Errorf("%v, %v", m, err)
					return
				}
			}
		})
	}
	lists := [][]endpoint{{{addr: netip.MustParseAddrPort(one.addr)}}, {{addr: netip.MustParseAddrPort(two.addr)}}}
	for i := range 200 {
		h.rosters[0].apply(lists[i%2])
	}
	close(stop)
	clients.Wait()
}

func TestHosts(t *testing.T) {
	t.Parallel()
	one, two := marked(t, "1"), marked(t, "2")
	_, port, _ := strings.Cut(one.addr, ":")
	h, _, _ := built(t, ". dns://Ns.example.org:"+port+" "+two.addr, "policy sequential")
	var asked []string
	h.rosters[0].lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
		asked = append(asked, host)
		return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::ffff:127.0.0.1")}, nil
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := one.addr + " " + two.addr; tos(h) != want || len(asked) != 1 || asked[0] != "Ns.example.org" {
		t.Errorf("upstreams %s after asking for %v, want %s", tos(h), asked, want)
	}
	if got := by(mustAsk(t, h, "www.example.org.")); got != "1" {
		t.Errorf("answered by %s", got)
	}
}

func TestUnknownHost(t *testing.T) {
	t.Parallel()
	h, _, _ := built(t, ". ns.example.org 192.0.2.1")
	h.rosters[0].lookup = func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("no such host") }
	if err := h.Start(t.Context()); err == nil || err.Error() != `the upstream "ns.example.org" has no address: no such host` {
		t.Errorf("error %v", err)
	}
}

// The option resolver: those that are given are asked, one after the other, for the name as it stands.
func TestResolver(t *testing.T) {
	t.Parallel()
	broken := newServer(t, func(q *query) { q.send(packed(q.reply(dns.RcodeServerFailure))) })
	good := newServer(t, func(q *query) {
		name := q.msg().Question[0].Name
		records := []string{name + " 5 IN A 192.0.2.7"}
		if q.msg().Question[0].Qtype == dns.TypeAAAA {
			records = []string{name + " 5 IN AAAA 2001:db8::7"}
		}
		q.send(packed(q.reply(dns.RcodeSuccess, records...)))
	})
	h, _, _ := built(t, ". tls://ns.example.org", "resolver "+broken.addr+" "+good.addr)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := h.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if got := tos(h); got != "192.0.2.7:853 [2001:db8::7]:853" {
		t.Errorf("upstreams %s", got)
	}
	for _, q := range good.questions() {
		if !strings.HasPrefix(q, ";ns.example.org.\t") {
			t.Errorf("asked %s", q)
		}
	}
	if !only(h).tls {
		t.Error("the host is not asked by TLS")
	}
}

// Run looks after the files by itself.
func TestRunRefreshes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(path, []byte("nameserver 192.0.2.1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h, _, _ := built(t, ". "+path)
	h.refresh = 5 * time.Millisecond
	running(t, h)
	if err := os.WriteFile(path, []byte("nameserver 192.0.2.2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new name server is used", func() bool { return tos(h) == "192.0.2.2:53" })
}
