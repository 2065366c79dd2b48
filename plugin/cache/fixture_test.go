package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/test/block"
)

// bed is a cache directive with a clock of the test's, in front of an end of the chain that the test scripts.
type bed struct {
	*Cache
	env      *plugin.Env
	log      *block.Buffer
	upstream *upstream

	mu  sync.Mutex
	now time.Time // guarded by mu
}

// newBed builds the directive from its text.
func newBed(t testing.TB, text string) *bed {
	t.Helper()
	b := &bed{log: new(block.Buffer), upstream: &upstream{replies: map[string]string{}}, now: time.Unix(1_600_000_000, 0)}
	b.env = block.NewEnv(b.log)
	b.env.Now = b.clock
	h, err := Spec().Build(b.env, lines(t, text))
	if err != nil {
		t.Fatal(err)
	}
	b.Cache = h.(*Cache)
	b.env.Instance = inView(h)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

// inView is an instance with the directive in the view "inside".
func inView(h plugin.Handler) block.Instance {
	return block.Instance{{View: "another"}, {View: "inside", Handlers: []plugin.Handler{h}}}
}

func lines(t testing.TB, text string) []*corefile.Directive {
	t.Helper()
	return block.Lines(t, ".:53 {\n"+text+"\n}\n", "cache")
}

// run lets refreshes happen until the test ends.
func (b *bed) run(t testing.TB) *bed {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the refresher runs", func() bool {
		b.refresher.mu.Lock()
		defer b.refresher.mu.Unlock()
		return b.refresher.ctx != nil
	})
	return b
}

func (b *bed) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bed) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

// exchange is a query "example.org. A [do] [cd] [ad] [ch]", read now.
func (b *bed) exchange(t testing.TB, question string) *plugin.Exchange {
	t.Helper()
	words := strings.Fields(question)
	m := new(dns.Msg).SetQuestion(words[0], dns.StringToType[words[1]])
	for _, word := range words[2:] {
		switch word {
		case "do":
			m.SetEdns0(1232, true)
		case "cd":
			m.CheckingDisabled = true
		case "ad":
			m.AuthenticatedData = true
		case "nord":
			m.RecursionDesired = false
		case "ch":
			m.Question[0].Qclass = dns.ClassCHAOS
		default:
			t.Fatalf("%q is not understood", word)
		}
	}
	x := block.FromMsg(t, m)
	x.Now = b.clock()
	return x
}

// ask sends a question and returns the reply in short: "NOERROR qr,aa: example.org. 30 A 192.0.2.1; ...".
func (b *bed) ask(t testing.TB, question string) string {
	t.Helper()
	x := b.exchange(t, question)
	if err := block.Serve(x, b, b.upstream); err != nil {
		return "error " + err.Error()
	}
	m := block.Answer(t, x)
	if want := strings.Fields(question)[0]; m.Question[0].Name != want {
		t.Errorf("the question came back as %s, want %s", m.Question[0].Name, want)
	}
	text := fmt.Sprintf("%s %s:", dns.RcodeToString[m.Rcode], x.Reply.Flags())
	for s, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			if h := rr.Header(); h.Rrtype != dns.TypeOPT {
				data := strings.Join(strings.Fields(strings.TrimPrefix(rr.String(), h.String())), " ")
				text += fmt.Sprintf(" %s%s %d %s %s;", []string{"", "ns:", "extra:"}[s], h.Name, h.Ttl, dns.TypeToString[h.Rrtype], data)
			}
		}
	}
	return strings.TrimSuffix(text, ";")
}

// upstream ends a chain with replies by question: "NXDOMAIN aa,tc: records; ns: records; extra: records", the error
// "error TEXT", or "live ..." for a reply from live data.
type upstream struct {
	mu      sync.Mutex
	replies map[string]string // guarded by mu
	asked   []string          // guarded by mu
	hold    chan struct{}     // replies wait for it, if there is one
}

// Name is that of no directive.
func (u *upstream) Name() string { return "upstream" }

func (u *upstream) set(question, reply string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.replies[question] = reply
}

func (u *upstream) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.asked)
}

// Serve answers by what is set for the question.
func (u *upstream) Serve(ctx context.Context, x *plugin.Exchange) error {
	q, err := x.Query.Msg()
	if err != nil {
		return err
	}
	question := strings.ToLower(q.Question[0].Name) + " " + dns.TypeToString[q.Question[0].Qtype]
	u.mu.Lock()
	reply, hold := u.replies[question], u.hold
	u.asked = append(u.asked, fmt.Sprintf("%s %s ad=%v", question, x.Transport, x.Query.AD()))
	u.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if text, failed := strings.CutPrefix(reply, "error "); failed {
		return errors.New(text)
	}
	reply, x.Live = strings.CutPrefix(reply, "live ")
	m, err := message(q, reply)
	if err != nil {
		return err
	}
	return x.Reply.SetMsg(&x.Query, m)
}

// message makes the reply to q that a text stands for.
func message(q *dns.Msg, text string) (*dns.Msg, error) {
	head, body, _ := strings.Cut(text, ":")
	rcode, flags, _ := strings.Cut(head, " ")
	m := new(dns.Msg).SetRcode(q, dns.StringToRcode[rcode])
	set := func(flag string) bool { return slices.Contains(strings.Split(flags, ","), flag) }
	m.Authoritative, m.Truncated, m.RecursionAvailable, m.AuthenticatedData = set("aa"), set("tc"), set("ra"), set("ad")
	for _, record := range strings.Split(body, ";") {
		section := &m.Answer
		record = strings.TrimSpace(record)
		if rest, ok := strings.CutPrefix(record, "ns:"); ok {
			section, record = &m.Ns, rest
		}
		if rest, ok := strings.CutPrefix(record, "extra:"); ok {
			section, record = &m.Extra, rest
		}
		if record == "" {
			continue
		}
		rr, err := dns.NewRR(record)
		if err != nil {
			return nil, err
		}
		*section = append(*section, rr)
	}
	return m, nil
}

// eventually waits for what another goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}
