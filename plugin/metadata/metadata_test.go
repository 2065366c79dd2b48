package metadata

import (
	"context"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

// knowing is a handler that knows the name that was asked under one label.
type knowing struct{ label string }

func (knowing) Name() string { return "knowing" }

func (knowing) Serve(ctx context.Context, x *plugin.Exchange) error { return x.Next(ctx) }

func (k knowing) Metadata(q *plugin.Asked, label string) (string, bool) {
	return q.Query.NameString(), label == k.label
}

// start is the started handler of a Corefile line, in front of others.
func start(t testing.TB, line string, others ...plugin.Handler) (*Handler, []plugin.Handler) {
	t.Helper()
	env := block.NewEnv(io.Discard)
	h, err := Spec().Build(env, block.Lines(t, ". {\n "+line+"\n}", "metadata"))
	if err != nil {
		t.Fatal(err)
	}
	if !env.Metadata {
		t.Error("Env.Metadata is not set: nobody will watch for it")
	}
	chain := append([]plugin.Handler{h}, others...)
	env.Instance = block.Instance{
		{Zone: "other.", Handlers: []plugin.Handler{knowing{"other/name"}}},
		{Zone: ".", Handlers: chain},
	}
	if err := h.(*Handler).Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h.(*Handler), chain
}

func TestServe(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		line string
		want map[string]string
	}{
		{
			name: "everything", line: "metadata",
			want: map[string]string{"first/name": "eXample.org.", "second/name": "eXample.org.", "set/once": "1", "set/twice": "2"},
		},
		{
			name: "the question's zone", line: "metadata com org",
			want: map[string]string{"first/name": "eXample.org.", "second/name": "eXample.org.", "set/once": "1", "set/twice": "2"},
		},
		{name: "another zone", line: "metadata com", want: map[string]string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := map[string]string{}
			// What is asked for may change on the way; metadata are of what the client asked.
			rewriting := block.HandlerFunc(func(ctx context.Context, x *plugin.Exchange) error {
				if err := x.Query.SetQuestion([]byte("\x05other\x00"), dns.TypeA, dns.ClassINET); err != nil {
					return err
				}
				x.Metadata.Set("set/once", "1")
				x.Metadata.Set("set/twice", "1")
				x.Metadata.Set("set/twice", "2")
				for _, label := range []string{"first/name", "second/name", "other/name", "set/once", "set/twice", "none"} {
					if value, ok := x.Metadata.Value(label); ok {
						got[label] = value
					}
				}
				return block.Reply(dns.RcodeSuccess)(ctx, x)
			})
			_, chain := start(t, test.line, knowing{"first/name"}, knowing{"second/name"}, rewriting)
			x := block.NewExchange(t, "eXample.org.", dns.TypeA)
			for range 2 { // the second one has what the pool kept
				clear(got)
				if err := block.Serve(x, chain...); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("metadata (-want +got):\n%s", diff)
				}
				if _, ok := x.Metadata.Value("set/once"); ok || x.Metadata != nil {
					t.Error("metadata are left behind")
				}
				x = block.NewExchange(t, "eXample.org.", dns.TypeA)
			}
		})
	}
}

func TestCollect(t *testing.T) {
	t.Parallel()
	h, _ := start(t, "metadata org", knowing{"first/name"})
	x := block.NewExchange(t, "example.org.", dns.TypeA)
	if got, ok := h.Collect(x).Value("first/name"); !ok || got != "example.org." {
		t.Errorf("value %q, %v, want the name", got, ok)
	}
	if h.Collect(block.NewExchange(t, "example.com.", dns.TypeA)) != nil {
		t.Error("metadata of a query outside the zones")
	}
}

func TestServeAllocatesNothing(t *testing.T) {
	quiet := block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error {
		x.Reply.Start(&x.Query, dns.RcodeSuccess)
		return nil
	})
	_, chain := start(t, "metadata", knowing{"first/name"}, quiet)
	x := block.NewExchange(t, "example.org.", dns.TypeA)
	if n := testing.AllocsPerRun(100, func() {
		x.Begin(nil, chain)
		if err := x.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a query of whose metadata nothing is read, want none", n)
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile, want string
	}{
		{name: "a bad zone", corefile: "metadata a..b", want: `Corefile:2: "a..b" is not a domain name: labels of 1 to 63 bytes, 255 in all, are wanted`},
		{name: "options", corefile: "metadata example.com {\n some_param\n}", want: "Corefile:2: metadata: takes no options in { }"},
		{name: "twice", corefile: "metadata\nmetadata", want: "Corefile:3: metadata: given twice in a server block; the first one is at Corefile:2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, ". {\n"+test.corefile+"\n}", "metadata"))
			if err == nil || err.Error() != test.want {
				t.Errorf("error is\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

func TestReadme(t *testing.T) {
	t.Parallel()
	block.BuildExamples(t, Spec())
}
