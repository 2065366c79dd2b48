package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

// disk is where a Corefile lies.
type disk struct {
	mu    sync.Mutex
	text  string // guarded by mu
	err   error  // guarded by mu
	looks atomic.Int64
}

func (d *disk) write(text string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.text, d.err = text, err
}

func (d *disk) load() (*corefile.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looks.Add(1)
	if d.err != nil {
		return nil, d.err
	}
	return corefile.Parse("Corefile", []byte(d.text))
}

// looked waits until the Corefile was read some more times.
func (d *disk) looked(t *testing.T) {
	t.Helper()
	want := d.looks.Load() + 5
	eventually(t, "more looks at the Corefile", func() bool { return d.looks.Load() >= want })
}

// watchSpec is "watch": the Corefile is looked at every few milliseconds.
func watchSpec() plugin.Spec {
	return plugin.Spec{Name: "watch", Build: func(env *plugin.Env, _ []*corefile.Directive) (plugin.Handler, error) {
		env.Reload.Every = 3 * time.Millisecond
		return nil, nil
	}}
}

func oneBlock(body string) string { return ". {\n bind 127.0.0.1\n" + body + "\n}\n" }

func (r *running) answers(want string) {
	r.t.Helper()
	eventually(r.t, "the answer "+want, func() bool { return text(r.ask("udp", "a.", 16)) == want })
}

// What is on the disk is put in place when it is good; what is not is told once, and changes nothing.
func TestWatch(t *testing.T) {
	t.Parallel()
	d := new(disk)
	starts := new(atomic.Int64)
	count := &double{name: "count", start: func(context.Context) error { starts.Add(1); return nil }}
	r := start(t, oneBlock("watch\ncount\nanswer 0"), Options{Load: d.load}, watchSpec(), count.spec())
	for i, step := range []struct {
		name   string
		text   string
		err    error
		answer string
		starts int64
		failed float64
		logged string
	}{
		{name: "the same", text: oneBlock("# comment\n watch\ncount\n\nanswer 0"), answer: "0", starts: 1},
		{name: "another answer", text: oneBlock("watch\ncount\nanswer 1"), answer: "1", starts: 2},
		{name: "unknown directives, all of them", text: oneBlock("watch\nanswre 2\ncuont"), answer: "1", starts: 2, failed: 1,
			logged: `Corefile:4: unknown directive \"answre\"; did you mean \"answer\"?`},
		{name: "bad syntax", text: ". {\n", answer: "1", starts: 2, failed: 2, logged: "Corefile:1: "},
		{name: "gone", err: errors.New("no such file"), answer: "1", starts: 2, failed: 3, logged: "no such file"},
		{name: "what is served", text: oneBlock("watch\ncount\nanswer 1"), answer: "1", starts: 2, failed: 3},
		{name: "gone again", err: errors.New("no such file"), answer: "1", starts: 2, failed: 4},
		{name: "good again", text: oneBlock("watch\ncount\nanswer 3"), answer: "3", starts: 3, failed: 4},
	} {
		d.write(step.text, step.err)
		d.looked(t)
		r.answers(step.answer)
		eventually(t, fmt.Sprintf("step %d (%s): %v failures", i, step.name, step.failed), func() bool {
			return r.metric("coredns_reload_failed_total") == step.failed
		})
		d.looked(t) // and not again
		if got := r.metric("coredns_reload_failed_total"); got != step.failed {
			t.Errorf("%s: %v failures, want %v", step.name, got, step.failed)
		}
		if got := starts.Load(); got != step.starts {
			t.Errorf("%s: %d instances were started, want %d", step.name, got, step.starts)
		}
		if !strings.Contains(r.log.String(), step.logged) {
			t.Errorf("%s: log lacks %q:\n%s", step.name, step.logged, r.log)
		}
	}
	if got := strings.Count(r.log.String(), "unknown directive"); got != 2 {
		t.Errorf("%d unknown directives were told, want 2, once", got)
	}
	if want := fmt.Sprintf("Running configuration SHA512 = %x", parse(t, oneBlock("watch\ncount\nanswer 3")).Sum()); !strings.Contains(r.log.String(), want) {
		t.Errorf("log lacks %q", want)
	}
}

// A Corefile that is being written is left alone until it stays as it is.
func TestWatchSettles(t *testing.T) {
	t.Parallel()
	d, n := new(disk), new(atomic.Int64)
	write := func() (*corefile.File, error) {
		if i := n.Add(1); i < 4 { // every look sees more of it
			d.write(oneBlock("watch\nanswer half"+fmt.Sprint(i)), nil)
		} else {
			d.write(oneBlock("watch\nanswer whole"), nil)
		}
		return d.load()
	}
	r := start(t, oneBlock("watch\nanswer 0"), Options{Load: write}, watchSpec())
	seen := map[string]bool{}
	eventually(t, "the whole Corefile", func() bool {
		got := text(r.ask("udp", "a.", 16))
		seen[got] = true
		return got == "whole"
	})
	if len(seen) > 2 {
		t.Errorf("answers were %v, want 0 and whole only", seen)
	}
}

// Refresh puts even the same Corefile in place, without any directive for it.
func TestRefresh(t *testing.T) {
	t.Parallel()
	d := new(disk)
	starts := new(atomic.Int64)
	count := &double{name: "count", start: func(context.Context) error { starts.Add(1); return nil }}
	r := start(t, oneBlock("count\nanswer 0"), Options{Load: d.load}, count.spec())
	d.write(oneBlock("count\nanswer 0"), nil)
	r.Refresh()
	eventually(t, "a second instance", func() bool { return starts.Load() == 2 })
	d.write(oneBlock("nonsense"), nil)
	r.Refresh()
	eventually(t, "a failure", func() bool { return r.metric("coredns_reload_failed_total") == 1 })
	r.Refresh()
	eventually(t, "another failure: it was asked for", func() bool { return r.metric("coredns_reload_failed_total") == 2 })
	r.answers("0")
	d.write(oneBlock("count\nanswer 1"), nil)
	r.Refresh()
	r.answers("1")
}

func TestRefreshOfStandardInput(t *testing.T) {
	t.Parallel()
	r := start(t, oneBlock("watch\nanswer 0"), Options{}, watchSpec())
	eventually(t, "a warning", func() bool { return strings.Contains(r.log.String(), "is not watched") })
	r.Refresh()
	eventually(t, "a second one", func() bool { return strings.Contains(r.log.String(), "cannot reload") })
	r.answers("0")
}

// A stop does not wait for an instance that waits for its data, and that is no failed reload.
func TestStopWhileReloading(t *testing.T) {
	t.Parallel()
	d, n := new(disk), new(atomic.Int64)
	waiting := make(chan struct{})
	slow := &double{name: "slow", start: func(ctx context.Context) error {
		if n.Add(1) == 1 {
			return nil
		}
		close(waiting)
		<-ctx.Done()
		return ctx.Err()
	}}
	r := start(t, oneBlock("slow\nanswer 0"), Options{Load: d.load}, slow.spec())
	d.write(oneBlock("slow\nanswer 1"), nil)
	r.Refresh()
	<-waiting
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if got := r.metric("coredns_reload_failed_total"); got != 0 {
		t.Errorf("%v failures, want none", got)
	}
}

// Nor does it wait for queries of an instance that was replaced: the drain begins at once, and these end like the others.
func TestStopWhileOldQueriesEnd(t *testing.T) {
	t.Parallel()
	g, d := newGate(), new(disk)
	draining, closed := make(chan struct{}), new(atomic.Int64)
	once := &double{name: "once", drain: func(context.Context) { close(draining) }, closed: func() error {
		closed.Add(1)
		return nil
	}}
	r := start(t, oneBlock("once\ngate\nanswer 0"), Options{Load: d.load, Grace: time.Minute}, once.spec(), g.double().spec())
	reply := make(chan string, 1)
	go func() {
		client := dns.Client{Timeout: 20 * time.Second}
		got, _, err := client.Exchange(new(dns.Msg).SetQuestion("a.wait.", dns.TypeTXT), r.addr("127.0.0.1"))
		if err != nil {
			reply <- err.Error()
			return
		}
		reply <- text(got)
	}()
	<-g.arrived
	d.write(oneBlock("once\ngate\nanswer 1"), nil)
	r.Refresh()
	r.answers("1")
	r.cancel()
	<-draining
	if n := closed.Load(); n != 0 {
		t.Errorf("%d instances are closed under a query", n)
	}
	close(g.open)
	if got := <-reply; got != "0" {
		t.Errorf("the old instance's query: %s", got)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if n := closed.Load(); n != 2 {
		t.Errorf("%d instances were closed, want both", n)
	}
}
