//go:build linux

package nftables

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/knftables"

	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// recorder is a table in no kernel, which checks what refers to what, and remembers the transactions.
type recorder struct {
	*nft
	twin *recorder
	sent []string
	fail error // of the next transaction
}

func newRecorder(f family) *recorder {
	fake := func(name string) *recorder {
		return &recorder{nft: newNFT(f, name, knftables.NewFake(knftables.Family(f.name), name))}
	}
	r := fake(tableName)
	r.twin = fake(tableName + "-twin")
	return r
}

func (r *recorder) Run(ctx context.Context, c *change) error {
	if err := r.fail; err != nil {
		r.fail = nil
		return err
	}
	r.sent = append(r.sent, strings.TrimSpace(r.transaction(c).String()))
	return r.nft.Run(ctx, c)
}

func (r *recorder) Twin() (ruleset, error) { return r.twin, nil }

// said are the transactions since it was last called, without the table's name.
func (r *recorder) said() string {
	text := strings.Join(r.sent, "\n--\n")
	r.sent = nil
	return strings.ReplaceAll(text, " "+r.family.name+" "+tableName, "")
}

func newFakePlane() (*Plane, *recorder, *recorder) {
	four, six := newRecorder(families()[0]), newRecorder(families()[1])
	return fakePlane(four, six), four, six
}

func fakePlane(tables ...*recorder) *Plane {
	p := newPlane(slog.New(slog.DiscardHandler))
	for _, r := range tables {
		p.tables = append(p.tables, newTable(r.family, r))
	}
	return p
}

func lines(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\t' }), "\n")
}

// A change is as large as what changes. What packets that are underway may still need goes in a second transaction,
// by and by.
func TestTransactions(t *testing.T) {
	t.Parallel()
	web := func(targets string) *plan.Service {
		return named("web", clusterIP("10.96.0.1:80/tcp", forward(targets)))
	}
	kept := clusterIP("10.96.0.3:80/tcp", forward("10.1.0.1:80"))
	kept.Affinity = time.Minute
	for _, test := range []struct {
		name          string
		before, after []*plan.Service
		want          string
	}{
		{"nothing", []*plan.Service{web("10.1.0.1:80")}, []*plan.Service{web("10.1.0.1:80")}, ""},
		{"a new service", nil, []*plan.Service{web("10.1.0.1:80")}, `
			add chain lb-1
			add rule lb-1 dnat ip addr . port to ip daddr . tcp dport . numgen random mod 1 map @ep-tcp
			add rule lb-1 dnat ip addr . port to ip daddr . udp dport . numgen random mod 1 map @ep-udp
			add rule lb-1 dnat ip addr . port to ip daddr . sctp dport . numgen random mod 1 map @ep-sctp
			add rule lb-1 drop
			add element svc { 10.96.0.1 . tcp . 80 : goto lb-1 }
			add element ep-tcp { 10.96.0.1 . 80 . 0 : 10.1.0.1 . 80 }
			add element cluster-ips { 10.96.0.1 }
			add element hairpin { 10.1.0.1 . 10.1.0.1 }`},
		{"another endpoint of the same number", []*plan.Service{web("10.1.0.1:80 10.1.0.2:80")}, []*plan.Service{web("10.1.0.1:80 10.1.0.9:80")}, `
			delete element ep-tcp { 10.96.0.1 . 80 . 1 }
			add element ep-tcp { 10.96.0.1 . 80 . 1 : 10.1.0.9 . 80 }
			add element hairpin { 10.1.0.9 . 10.1.0.9 }
			--
			delete element hairpin { 10.1.0.2 . 10.1.0.2 }`},
		{"fewer, as another service has already", []*plan.Service{web("10.1.0.1:80 10.1.0.2:80"), named("one", clusterIP("10.96.0.2:80/tcp", forward("10.1.0.1:80")))},
			[]*plan.Service{web("10.1.0.2:80")}, `
			delete element svc { 10.96.0.1 . tcp . 80 }
			delete element ep-tcp { 10.96.0.1 . 80 . 0 }
			add element svc { 10.96.0.1 . tcp . 80 : goto lb-1 }
			add element ep-tcp { 10.96.0.1 . 80 . 0 : 10.1.0.2 . 80 }
			--
			delete element ep-tcp { 10.96.0.1 . 80 . 1 }`},
		{"none any more", []*plan.Service{web("10.1.0.1:80")}, []*plan.Service{named("web", clusterIP("10.96.0.1:80/tcp", plan.Target{Verdict: plan.Reject}))}, `
			delete element svc { 10.96.0.1 . tcp . 80 }
			add element svc { 10.96.0.1 . tcp . 80 : goto refuse }
			--
			delete element ep-tcp { 10.96.0.1 . 80 . 0 }
			delete element hairpin { 10.1.0.1 . 10.1.0.1 }`},
		{"gone", []*plan.Service{web("10.1.0.1:80")}, []*plan.Service{named("web")}, `
			delete element svc { 10.96.0.1 . tcp . 80 }
			delete element cluster-ips { 10.96.0.1 }
			--
			delete element ep-tcp { 10.96.0.1 . 80 . 0 }
			delete element hairpin { 10.1.0.1 . 10.1.0.1 }`},
		{"a port that goes from one to the other at once", []*plan.Service{named("a", nodePort("0.0.0.0:30001/tcp", plan.Target{Verdict: plan.Reject}))},
			[]*plan.Service{named("b", nodePort("0.0.0.0:30001/tcp", plan.Target{Verdict: plan.Drop})), named("a")}, `
			delete element np { tcp . 30001 }
			add element np { tcp . 30001 : drop }`},
		{"said twice: the last counts", []*plan.Service{web("10.1.0.1:80")}, []*plan.Service{named("web"), web("10.1.0.1:80")}, ""},
		{"affinity goes", []*plan.Service{named("s", kept)}, []*plan.Service{named("s")}, `
			delete element svc { 10.96.0.3 . tcp . 80 }
			delete element cluster-ips { 10.96.0.3 }
			--
			delete element hairpin { 10.1.0.1 . 10.1.0.1 }
			flush chain endpoint-X
			flush chain sticky-Y
			delete chain endpoint-X
			delete chain sticky-Y
			delete set endpoint-X`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, four, six := newFakePlane()
			if err := p.Adopt(t.Context(), testPolicy(), test.before); err != nil {
				t.Fatal(err)
			}
			four.said()
			six.said()
			if err := errors.Join(p.Apply(t.Context(), test.after), p.sweep(t.Context())); err != nil {
				t.Fatal(err)
			}
			names := strings.NewReplacer() // of affinity, which are hashes
			for _, s := range test.before {
				newService(families()[0], s, (*service)(nil).slots).stickies(families()[0], func(s sticky) {
					names = strings.NewReplacer(s.endpoints[0], "endpoint-X", s.chain, "sticky-Y")
				})
			}
			if got, want := names.Replace(four.said()), lines(test.want); got != want {
				t.Errorf("sent\n%s\nwant\n%s", got, want)
			}
			if got := six.said(); got != "" {
				t.Errorf("sent to the other family\n%s", got)
			}
			if err := p.Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// What Apply leaves is what Adopt would make: it finds nothing to do.
func TestApplyIsAdopt(t *testing.T) {
	t.Parallel()
	p, four, six := newFakePlane()
	sticky := nodePort("0.0.0.0:30001/udp", forward("10.1.0.1:80 10.1.0.2:80"))
	sticky.Affinity = time.Hour
	states := [][]*plan.Service{
		{named("a", clusterIP("10.96.0.1:80/tcp", forward("10.1.0.1:80 10.1.0.2:80 10.1.0.3:80"))), named("b", sticky)},
		{named("a", clusterIP("10.96.0.1:80/tcp", forward("10.1.0.3:80 10.1.0.4:80")), clusterIP("[fd00::1]:80/tcp", forward("[fd00::2]:80"))), named("b")},
		{named("a", clusterIP("10.96.0.2:80/tcp", plan.Target{Verdict: plan.Reject})), named("b", loadBalancer("203.0.113.1:80/tcp", forward("10.1.0.4:80"), "10.0.0.0/8"))},
	}
	if err := p.Adopt(t.Context(), testPolicy(), nil); err != nil {
		t.Fatal(err)
	}
	for round := range 7 {
		state := states[round%len(states)]
		if err := errors.Join(p.Apply(t.Context(), state), p.sweep(t.Context())); err != nil {
			t.Fatal(err)
		}
		four.said()
		six.said()
		again := fakePlane(four, six)
		if err := again.Adopt(t.Context(), testPolicy(), state); err != nil {
			t.Fatal(err)
		}
		for _, r := range []*recorder{four, six} {
			// Chains that choose among so many are kept for the next service that has as many.
			if got := r.said(); strings.Contains(got, "element") || strings.Contains(got, "add") {
				t.Errorf("round %d: adoption sent\n%s", round, got)
			}
		}
		p = again
	}
}

// The families fail each for itself, with what nft said; Adopt mends what failed.
func TestFailure(t *testing.T) {
	t.Parallel()
	p, four, six := newFakePlane()
	if err := p.Adopt(t.Context(), testPolicy(), nil); err != nil {
		t.Fatal(err)
	}
	web := named("web", clusterIP("10.96.0.1:80/tcp", forward("10.1.0.1:80")), clusterIP("[fd00::1]:80/tcp", forward("[fd00::2]:80")))
	four.said()
	six.said()
	four.fail = errors.New("Error: Could not process rule: No buffer space available")
	err := p.Apply(t.Context(), []*plan.Service{web})
	if want := "to change table ip nameplane: Error: Could not process rule: No buffer space available"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if six.said() == "" {
		t.Error("IPv6 did not go on")
	}
	if err := p.Adopt(t.Context(), testPolicy(), []*plan.Service{web}); err != nil {
		t.Fatal(err)
	}
	if got := four.said(); !strings.Contains(got, "add element svc { 10.96.0.1 . tcp . 80 : goto lb-1 }") || strings.Contains(got, "delete table") {
		t.Errorf("adoption sent\n%s", got)
	}
	if got := six.said(); got != "" {
		t.Errorf("adoption sent to IPv6, which was right,\n%s", got)
	}
}

// A family that the kernel does not have is an error as soon as a service wants it.
func TestUnusable(t *testing.T) {
	t.Parallel()
	p, _, six := newFakePlane()
	p.tables[1] = &table{family: six.family, unusable: preflight(six.family, errors.New("Error: Could not process rule: Operation not supported"))}
	four := named("web", clusterIP("10.96.0.1:80/tcp", forward("10.1.0.1:80")))
	if err := errors.Join(p.Adopt(t.Context(), testPolicy(), []*plan.Service{four}), p.Check(t.Context())); err != nil {
		t.Error(err)
	}
	err := p.Apply(t.Context(), []*plan.Service{named("six", clusterIP("[fd00::1]:80/tcp", forward("[fd00::2]:80")))})
	for _, want := range []string{"[fd00::1]:80/tcp of service default/six", "family ip6", "mode relay", "not supported"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
