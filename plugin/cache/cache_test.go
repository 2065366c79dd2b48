package cache

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

const soa = "ns:example.org. 300 SOA ns.example.org. host.example.org. 1 7200 1800 86400 60"

// TestKeeping: which replies are kept, and with which TTL. The first reply has the TTL that the kept one counts down from.
func TestKeeping(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		why, line string
		question  string // "www.example.org. A" by default
		reply     string
		want      string // the first reply
		again     string // the reply after 2 s; "-" when the upstream is asked again
	}{
		{
			why: "one record", reply: "NOERROR ra: www.example.org. 300 A 192.0.2.1",
			want: "NOERROR qr,rd,ra: www.example.org. 300 A 192.0.2.1", again: "NOERROR qr,rd,ra: www.example.org. 298 A 192.0.2.1",
		},
		{
			why: "AA as stored, not made up", reply: "NOERROR aa: www.example.org. 300 A 192.0.2.1",
			want: "NOERROR qr,aa,rd: www.example.org. 300 A 192.0.2.1", again: "NOERROR qr,aa,rd: www.example.org. 298 A 192.0.2.1",
		},
		{
			why: "one TTL for all, the lowest", reply: "NOERROR: www.example.org. 300 CNAME a.example.org.; a.example.org. 20 A 192.0.2.1; ns:example.org. 900 NS ns.example.org.; extra:ns.example.org. 40 A 192.0.2.9",
			want:  "NOERROR qr,rd: www.example.org. 20 CNAME a.example.org.; a.example.org. 20 A 192.0.2.1; ns:example.org. 20 NS ns.example.org.; extra:ns.example.org. 20 A 192.0.2.9",
			again: "NOERROR qr,rd: www.example.org. 18 CNAME a.example.org.; a.example.org. 18 A 192.0.2.1; ns:example.org. 18 NS ns.example.org.; extra:ns.example.org. 18 A 192.0.2.9",
		},
		{why: "at most an hour", reply: "NOERROR: www.example.org. 86400 A 192.0.2.1", want: "NOERROR qr,rd: www.example.org. 3600 A 192.0.2.1", again: "NOERROR qr,rd: www.example.org. 3598 A 192.0.2.1"},
		{why: "at most TTL", line: "cache 30", reply: "NOERROR: www.example.org. 86400 A 192.0.2.1", want: "NOERROR qr,rd: www.example.org. 30 A 192.0.2.1", again: "NOERROR qr,rd: www.example.org. 28 A 192.0.2.1"},
		{why: "success TTL over TTL", line: "cache 30 {\nsuccess 1000 60\n}", reply: "NOERROR: www.example.org. 86400 A 192.0.2.1", want: "NOERROR qr,rd: www.example.org. 60 A 192.0.2.1", again: "NOERROR qr,rd: www.example.org. 58 A 192.0.2.1"},
		{why: "at least 5 s", reply: "NOERROR: www.example.org. 0 A 192.0.2.1", want: "NOERROR qr,rd: www.example.org. 5 A 192.0.2.1", again: "NOERROR qr,rd: www.example.org. 3 A 192.0.2.1"},
		{why: "at least MINTTL", line: "cache {\nsuccess 1000 60 20\n}", reply: "NOERROR: www.example.org. 1 A 192.0.2.1", want: "NOERROR qr,rd: www.example.org. 20 A 192.0.2.1", again: "NOERROR qr,rd: www.example.org. 18 A 192.0.2.1"},
		{why: "a MINTTL of 0 and a TTL of 0", line: "cache {\nsuccess 1000 60 0\n}", reply: "NOERROR: www.example.org. 0 A 192.0.2.1", want: "NOERROR qr,rd: www.example.org. 0 A 192.0.2.1", again: "-"},
		{why: "keepttl", line: "cache {\nkeepttl\n}", reply: "NOERROR: www.example.org. 300 A 192.0.2.1", want: "NOERROR qr,rd: www.example.org. 300 A 192.0.2.1", again: "NOERROR qr,rd: www.example.org. 300 A 192.0.2.1"},
		{why: "NXDOMAIN", reply: "NXDOMAIN ra: " + soa, want: "NXDOMAIN qr,rd,ra: " + soa, again: "NXDOMAIN qr,rd,ra: " + strings.Replace(soa, "300", "298", 1)},
		{why: "NXDOMAIN without SOA (RFC 2308, section 5)", reply: "NXDOMAIN:", want: "NXDOMAIN qr,rd:", again: "-"},
		{why: "NXDOMAIN with an answer", reply: "NXDOMAIN: www.example.org. 300 CNAME a.example.org.; " + soa, want: "NXDOMAIN qr,rd: www.example.org. 5 CNAME a.example.org.; " + strings.Replace(soa, "300", "5", 1), again: "-"},
		{why: "NODATA", reply: "NOERROR: " + soa, want: "NOERROR qr,rd: " + soa, again: "NOERROR qr,rd: " + strings.Replace(soa, "300", "298", 1)},
		{why: "denial of half an hour", reply: "NXDOMAIN: " + strings.Replace(soa, "300", "86400", 1), want: "NXDOMAIN qr,rd: " + strings.Replace(soa, "300", "1800", 1), again: "NXDOMAIN qr,rd: " + strings.Replace(soa, "300", "1798", 1)},
		{why: "denial TTL and MINTTL", line: "cache {\ndenial 1000 10 7\n}", reply: "NXDOMAIN: " + strings.Replace(soa, "300", "3", 1), want: "NXDOMAIN qr,rd: " + strings.Replace(soa, "300", "7", 1), again: "NXDOMAIN qr,rd: " + strings.Replace(soa, "300", "5", 1)},
		{
			why:   "CNAME without an end, and an SOA: a denial (RFC 2308, section 2.2)",
			line:  "cache {\ndenial 1000 10\n}",
			reply: "NOERROR: www.example.org. 300 CNAME a.example.org.; " + soa,
			want:  "NOERROR qr,rd: www.example.org. 10 CNAME a.example.org.; " + strings.Replace(soa, "300", "10", 1),
			again: "NOERROR qr,rd: www.example.org. 8 CNAME a.example.org.; " + strings.Replace(soa, "300", "8", 1),
		},
		{why: "CNAME without an end", reply: "NOERROR: www.example.org. 300 CNAME a.example.org.", want: "NOERROR qr,rd: www.example.org. 300 CNAME a.example.org.", again: "-"},
		{why: "CNAME asked for", question: "www.example.org. CNAME", reply: "NOERROR: www.example.org. 300 CNAME a.example.org.", want: "NOERROR qr,rd: www.example.org. 300 CNAME a.example.org.", again: "NOERROR qr,rd: www.example.org. 298 CNAME a.example.org."},
		{why: "two CNAMEs of one name (RFC 2181, section 10.1)", reply: "NOERROR: www.example.org. 300 CNAME a.example.org.; www.example.org. 300 CNAME b.example.org.; a.example.org. 300 A 192.0.2.1", want: "NOERROR qr,rd: www.example.org. 300 CNAME a.example.org.; www.example.org. 300 CNAME b.example.org.; a.example.org. 300 A 192.0.2.1", again: "-"},
		{why: "a loop of CNAMEs", reply: "NOERROR: www.example.org. 300 CNAME a.example.org.; a.example.org. 300 CNAME www.example.org.; www.example.org. 300 A 192.0.2.1", want: "NOERROR qr,rd: www.example.org. 300 CNAME a.example.org.; a.example.org. 300 CNAME www.example.org.; www.example.org. 300 A 192.0.2.1", again: "-"},
		{why: "an answer for another name", reply: "NOERROR: elsewhere.example.org. 300 A 192.0.2.1", want: "NOERROR qr,rd: elsewhere.example.org. 300 A 192.0.2.1", again: "-"},
		{why: "ANY", question: "www.example.org. ANY", reply: "NOERROR: www.example.org. 300 A 192.0.2.1", want: "NOERROR qr,rd: www.example.org. 300 A 192.0.2.1", again: "NOERROR qr,rd: www.example.org. 298 A 192.0.2.1"},
		{why: "nothing but additional records, as whoami answers", reply: "NOERROR aa: extra:www.example.org. 300 A 192.0.2.1", want: "NOERROR qr,aa,rd: extra:www.example.org. 300 A 192.0.2.1", again: "NOERROR qr,aa,rd: extra:www.example.org. 298 A 192.0.2.1"},
		{why: "nothing at all", reply: "NOERROR:", want: "NOERROR qr,rd:", again: "NOERROR qr,rd:"},
		{why: "a referral", reply: "NOERROR: ns:example.org. 900 NS ns.example.org.", want: "NOERROR qr,rd: ns:example.org. 5 NS ns.example.org.", again: "NOERROR qr,rd: ns:example.org. 3 NS ns.example.org."},
		{why: "SERVFAIL", reply: "SERVFAIL ra: " + soa, want: "SERVFAIL qr,rd,ra: " + strings.Replace(soa, "300", "5", 1), again: "SERVFAIL qr,rd,ra: " + strings.Replace(soa, "300", "3", 1)},
		{why: "servfail", line: "cache {\nservfail 1m\n}", reply: "SERVFAIL: " + soa, want: "SERVFAIL qr,rd: " + strings.Replace(soa, "300", "60", 1), again: "SERVFAIL qr,rd: " + strings.Replace(soa, "300", "58", 1)},
		{why: "servfail 0", line: "cache {\nservfail 0\n}", reply: "SERVFAIL:", want: "SERVFAIL qr,rd:", again: "-"},
		{why: "NOTIMP counts as a failure", reply: "NOTIMP:", want: "NOTIMP qr,rd:", again: "NOTIMP qr,rd:"},
		{why: "no reply", reply: "error i/o timeout", want: "error i/o timeout", again: "SERVFAIL qr,rd:"},
		{why: "no reply and servfail 0", line: "cache {\nservfail 0\n}", reply: "error i/o timeout", want: "error i/o timeout", again: "-"},
		{why: "REFUSED", reply: "REFUSED: " + soa, want: "REFUSED qr,rd: " + strings.Replace(soa, "300", "5", 1), again: "-"},
		{why: "truncated", reply: "NOERROR tc: www.example.org. 300 A 192.0.2.1", want: "NOERROR qr,tc,rd: www.example.org. 300 A 192.0.2.1", again: "-"},
		{why: "AXFR keeps its TTLs", question: "example.org. AXFR", reply: "NOERROR: example.org. 900 A 192.0.2.1; www.example.org. 700 A 192.0.2.1", want: "NOERROR qr,rd: example.org. 900 A 192.0.2.1; www.example.org. 700 A 192.0.2.1", again: "-"},
		{why: "another zone", line: "cache 30 example.net", reply: "NOERROR: www.example.org. 300 A 192.0.2.1", want: "NOERROR qr,rd: www.example.org. 300 A 192.0.2.1", again: "-"},
		{why: "this zone", line: "cache 30 example.net Example.ORG", reply: "NOERROR: www.example.org. 300 A 192.0.2.1", want: "NOERROR qr,rd: www.example.org. 30 A 192.0.2.1", again: "NOERROR qr,rd: www.example.org. 28 A 192.0.2.1"},
		{why: "success disabled: the TTL is as if it were kept", line: "cache 30 {\ndisable success example.org\n}", reply: "NOERROR: www.example.org. 300 A 192.0.2.1", want: "NOERROR qr,rd: www.example.org. 30 A 192.0.2.1", again: "-"},
		{why: "success disabled for another zone", line: "cache 30 {\ndisable success example.net\n}", reply: "NOERROR: www.example.org. 300 A 192.0.2.1", want: "NOERROR qr,rd: www.example.org. 30 A 192.0.2.1", again: "NOERROR qr,rd: www.example.org. 28 A 192.0.2.1"},
		{why: "success disabled, and a denial", line: "cache 30 {\ndisable success\n}", reply: "NXDOMAIN: " + soa, want: "NXDOMAIN qr,rd: " + strings.Replace(soa, "300", "30", 1), again: "NXDOMAIN qr,rd: " + strings.Replace(soa, "300", "28", 1)},
		{why: "denial disabled", line: "cache 30 {\ndisable denial\n}", reply: "NXDOMAIN: " + soa, want: "NXDOMAIN qr,rd: " + strings.Replace(soa, "300", "30", 1), again: "-"},
		{why: "denial disabled, and a failure", line: "cache 30 {\ndisable denial\n}", reply: "SERVFAIL:", want: "SERVFAIL qr,rd:", again: "-"},
		{why: "live data (D13)", reply: "live NOERROR aa: www.example.org. 300 A 192.0.2.1", want: "NOERROR qr,aa,rd: www.example.org. 300 A 192.0.2.1", again: "-"},
		{why: "live data above the cap", line: "cache 30", reply: "live NOERROR aa: www.example.org. 300 A 192.0.2.1", want: "NOERROR qr,aa,rd: www.example.org. 30 A 192.0.2.1", again: "-"},
		{why: "live data with a TTL below 5", line: "cache 30", reply: "live NOERROR aa: www.example.org. 2 A 192.0.2.1", want: "NOERROR qr,aa,rd: www.example.org. 5 A 192.0.2.1", again: "-"},
		{why: "live data with ttl 0 (D6)", line: "cache 30", reply: "live NOERROR aa: www.example.org. 0 A 192.0.2.1", want: "NOERROR qr,aa,rd: www.example.org. 0 A 192.0.2.1", again: "-"},
		{why: "live NXDOMAIN", line: "cache 30", reply: "live NXDOMAIN aa: " + soa, want: "NXDOMAIN qr,aa,rd: " + strings.Replace(soa, "300", "30", 1), again: "-"},
		{why: "live NXDOMAIN with ttl 0 (D6)", line: "cache 30", reply: "live NXDOMAIN aa: " + strings.Replace(soa, "300", "0", 1), want: "NXDOMAIN qr,aa,rd: " + strings.Replace(soa, "300", "0", 1), again: "-"},
	} {
		t.Run(strings.ReplaceAll(test.why, " ", "_"), func(t *testing.T) {
			t.Parallel()
			if test.line == "" {
				test.line = "cache"
			}
			if test.question == "" {
				test.question = "www.example.org. A"
			}
			b := newBed(t, test.line)
			b.upstream.set(test.question, test.reply)
			if got := b.ask(t, test.question); got != test.want {
				t.Errorf("first reply\n%s, want\n%s", got, test.want)
			}
			b.pass(2 * time.Second)
			got := b.ask(t, test.question)
			switch asked := b.upstream.count() == 2; {
			case asked != (test.again == "-"):
				t.Errorf("upstream asked again: %v", asked)
			case !asked && got != test.again:
				t.Errorf("second reply\n%s, want\n%s", got, test.again)
			case asked && got != test.want:
				t.Errorf("second reply\n%s, want\n%s", got, test.want)
			}
		})
	}
}

// TestSeconds: an item holds for its TTL and not a moment longer, and counts whole seconds down as they end.
func TestSeconds(t *testing.T) {
	t.Parallel()
	b := newBed(t, "cache")
	b.upstream.set("www.example.org. A", "NOERROR: www.example.org. 10 A 192.0.2.1")
	b.ask(t, "www.example.org. A")
	for _, step := range []struct {
		after time.Duration
		ttl   string
		asked int
	}{
		{after: 999 * time.Millisecond, ttl: " 10 ", asked: 1},
		{after: time.Millisecond, ttl: " 9 ", asked: 1},
		{after: 8*time.Second + 999*time.Millisecond, ttl: " 1 ", asked: 1},
		{after: time.Millisecond, ttl: " 10 ", asked: 2},
	} {
		b.pass(step.after)
		if got := b.ask(t, "www.example.org. A"); !strings.Contains(got, step.ttl) || b.upstream.count() != step.asked {
			t.Errorf("%v later: %s after %d questions, want TTL%sand %d", step.after, got, b.upstream.count(), step.ttl, step.asked)
		}
	}
	x := b.exchange(t, "www.example.org. A")
	x.Now = x.Now.Add(-3 * time.Second) // read before the reply for another one came
	if err := block.Serve(x, b, b.upstream); err != nil {
		t.Fatal(err)
	}
	if got := block.Answer(t, x).Answer[0].Header().Ttl; got != 10 {
		t.Errorf("a query read before the item was stored: TTL %d, want 10", got)
	}
}

// TestKeys: what belongs to the key (type, class, DO, CD), and what does not (spelling, ID, RD, AD).
func TestKeys(t *testing.T) {
	t.Parallel()
	const first = "www.example.org. A"
	for _, test := range []struct {
		question string
		hit      bool
		flags    string
	}{
		{question: "www.example.org. A", hit: true, flags: "qr,rd,ra"},
		{question: "wWw.eXample.ORG. A", hit: true, flags: "qr,rd,ra"},
		{question: "www.example.org. A ad", hit: true, flags: "qr,rd,ra,ad"}, // RFC 6840, section 5.7
		{question: "www.example.org. A nord", hit: true, flags: "qr,ra"},
		{question: "www.example.org. A do", flags: "qr,rd,ra,ad"},
		{question: "www.example.org. A cd", flags: "qr,rd,ra,cd"},
		{question: "www.example.org. A ch", flags: "qr,rd,ra"},
		{question: "www.example.org. AAAA", flags: "qr,rd"},
		{question: "ww.example.org. A", flags: "qr,rd"},
		{question: "wwww.example.org. A", flags: "qr,rd"},
	} {
		t.Run(test.question, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, "cache")
			b.upstream.set(first, "NOERROR ra,ad: www.example.org. 300 A 192.0.2.1")
			if got, want := b.ask(t, first), "NOERROR qr,rd,ra: "; !strings.HasPrefix(got, want) {
				t.Errorf("first reply %s, want %s: AD only for those who know it", got, want)
			}
			for range 2 { // from upstream, and from the store
				if got, want := b.ask(t, test.question), "NOERROR "+test.flags+":"; !strings.HasPrefix(got, want) {
					t.Errorf("%s: %s, want %s", test.question, got, want)
				}
			}
			if hit := b.upstream.count() == 1; hit != test.hit {
				t.Errorf("%s: hit %v, want %v", test.question, hit, test.hit)
			}
			if b.upstream.asked[0] != "www.example.org. A udp ad=true" {
				t.Errorf("upstream was asked %q, want with AD: RFC 6840, section 5.7", b.upstream.asked[0])
			}
		})
	}
}

// TestSpelling: a hit has the spelling of the client who asks (0x20), in the question and in what points there.
func TestSpelling(t *testing.T) {
	t.Parallel()
	b := newBed(t, "cache")
	b.upstream.set("www.example.org. A", "NOERROR: www.example.org. 300 CNAME web.EXAMPLE.org.; web.example.org. 300 A 192.0.2.1")
	b.ask(t, "www.example.org. A")
	got := b.ask(t, "WWW.example.ORG. A")
	want := "NOERROR qr,rd: WWW.example.ORG. 300 CNAME web."
	if !strings.HasPrefix(got, want) || !strings.HasSuffix(strings.ToLower(got), "; web.example.org. 300 a 192.0.2.1") {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestNotKept: what is wrong with us, or with the client, says nothing of the name.
func TestNotKept(t *testing.T) {
	t.Parallel()
	for _, err := range []error{plugin.ErrOverload, plugin.ErrNoHandler} {
		b := newBed(t, "cache")
		asked := 0
		end := block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error { asked++; return err })
		for range 2 {
			if got := block.Serve(b.exchange(t, "www.example.org. A"), b, end); !errors.Is(got, err) {
				t.Errorf("%v, want %v", got, err)
			}
		}
		if asked != 2 {
			t.Errorf("%v was kept", err)
		}
	}
}

// TestPassedOn: a NOTIFY has a question as queries have it, and must not be answered from the store; nor is what a
// handler drops.
func TestPassedOn(t *testing.T) {
	t.Parallel()
	b := newBed(t, "cache")
	b.upstream.set("example.org. SOA", "NOERROR aa: example.org. 300 SOA ns.example.org. host.example.org. 1 7200 1800 86400 60")
	b.ask(t, "example.org. SOA")
	x := block.FromMsg(t, new(dns.Msg).SetNotify("example.org."))
	x.Now = b.clock()
	if err := block.Serve(x, b, b.upstream); err != nil {
		t.Fatal(err)
	}
	if b.upstream.count() != 2 || x.Query.AD() {
		t.Errorf("%d questions upstream, AD %v; want 2 and the query as it was", b.upstream.count(), x.Query.AD())
	}
	x = b.exchange(t, "dropped.example.org. A")
	drop := block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error { x.Reply.Drop(); return nil })
	if err := block.Serve(x, b, drop); err != nil || x.Reply.Made() || !x.Reply.Dropped() {
		t.Errorf("dropped: error %v, made %v", err, x.Reply.Made())
	}
}

// TestMismatch: a reply to another question is passed on and not kept, and counted.
func TestMismatch(t *testing.T) {
	t.Parallel()
	b := newBed(t, "cache")
	asked := 0
	end := block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error {
		asked++
		m := new(dns.Msg).SetQuestion("other.example.org.", dns.TypeA)
		m.Response = true
		return x.Reply.SetMsg(&x.Query, m)
	})
	for range 2 {
		if err := block.Serve(b.exchange(t, "www.example.org. A"), b, end); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.meters.accounts[0].total(drops); asked != 2 || got != 2 {
		t.Errorf("asked %d times, %v drops; want 2 and 2", asked, got)
	}
}

// TestFailureAndAnswer: a failure that is kept does not hide an answer that holds still.
func TestFailureAndAnswer(t *testing.T) {
	t.Parallel()
	b := newBed(t, "cache {\nservfail 30s\n}")
	b.upstream.set("www.example.org. A", "NOERROR: www.example.org. 300 A 192.0.2.1")
	b.ask(t, "www.example.org. A")
	x := b.exchange(t, "www.example.org. A")
	x.Reply.Start(&x.Query, dns.RcodeServerFailure)
	b.settle(x, b.store.key(&x.Query), judge(x))
	if got := b.ask(t, "www.example.org. A"); !strings.HasPrefix(got, "NOERROR") {
		t.Errorf("%s, want the answer that holds", got)
	}
	b.pass(20 * time.Second)
	x = b.exchange(t, "www.example.org. A")
	x.Reply.Start(&x.Query, dns.RcodeNameError)
	if err := x.Reply.SetMsg(&x.Query, mustMessage(t, x, "NXDOMAIN: "+soa)); err != nil {
		t.Fatal(err)
	}
	b.settle(x, b.store.key(&x.Query), judge(x))
	if got := b.ask(t, "www.example.org. A"); !strings.HasPrefix(got, "NXDOMAIN") {
		t.Errorf("%s, want the denial, which came later", got)
	}
}

func mustMessage(t *testing.T, x *plugin.Exchange, text string) *dns.Msg {
	t.Helper()
	q, err := x.Query.Msg()
	if err != nil {
		t.Fatal(err)
	}
	m, err := message(q, text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestExpiredSignature: a reply whose signature does not hold is not kept for those who asked for signatures.
func TestExpiredSignature(t *testing.T) {
	t.Parallel()
	rrsig := func(from, to string) string {
		return "NOERROR: www.example.org. 300 A 192.0.2.1; www.example.org. 300 RRSIG A 8 3 300 " + to + " " + from + " 1 example.org. AAAA"
	}
	for _, test := range []struct { // the bed's clock stands at 2020-09-13 12:26:40
		why, question, reply string
		kept                 bool
	}{
		{why: "it holds", question: "www.example.org. A do", reply: rrsig("20200901000000", "20201001000000"), kept: true},
		{why: "expired", question: "www.example.org. A do", reply: rrsig("20200801000000", "20200901000000")},
		{why: "not yet", question: "www.example.org. A do", reply: rrsig("20200914000000", "20201001000000")},
		{why: "nobody asked", question: "www.example.org. A", reply: rrsig("20200801000000", "20200901000000"), kept: true},
	} {
		b := newBed(t, "cache")
		b.upstream.set("www.example.org. A", test.reply)
		for range 2 {
			b.ask(t, test.question)
		}
		if kept := b.upstream.count() == 1; kept != test.kept {
			t.Errorf("%s: kept %v, want %v", test.why, kept, test.kept)
		}
	}
}
