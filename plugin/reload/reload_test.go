package reload

import (
	"io"
	"testing"
	"time"

	"github.com/nameplane/nameplane/test/block"
)

func TestInterval(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile string
		least, most    time.Duration
	}{
		{name: "CoreDNS's defaults", corefile: ". {\n reload\n}", least: 22500 * time.Millisecond, most: 37500 * time.Millisecond},
		{name: "interval; the jitter is at most half of it", corefile: ". {\n reload 10s\n}", least: 7500 * time.Millisecond, most: 12500 * time.Millisecond},
		{name: "interval and jitter", corefile: ". {\n reload 10s 2s\n}", least: 9 * time.Second, most: 11 * time.Second},
		{name: "no jitter", corefile: ". {\n reload 2s 0s\n}", least: 2 * time.Second, most: 2 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			seen := map[time.Duration]bool{}
			for range 100 {
				env := block.NewEnv(io.Discard)
				h, err := Spec().Build(env, block.Lines(t, test.corefile, "reload"))
				if err != nil || h != nil {
					t.Fatalf("handler %v, error %v", h, err)
				}
				if every := env.Reload.Every; every < test.least || every > test.most {
					t.Errorf("every %s, want %s to %s", every, test.least, test.most)
				}
				seen[env.Reload.Every] = true
			}
			if spread := len(seen) > 1; spread != (test.least != test.most) {
				t.Errorf("%d intervals in 100 starts", len(seen))
			}
		})
	}
}

// There is one Corefile: of several server blocks the shortest interval counts.
func TestSeveralBlocks(t *testing.T) {
	t.Parallel()
	env := block.NewEnv(io.Discard)
	for _, text := range []string{". {\n reload 20s 0s\n}", ". {\n reload 5s 0s\n}", ". {\n reload 10s 0s\n}"} {
		if _, err := Spec().Build(env, block.Lines(t, text, "reload")); err != nil {
			t.Fatal(err)
		}
	}
	if env.Reload.Every != 5*time.Second {
		t.Errorf("every %s, want 5s", env.Reload.Every)
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, corefile, want string }{
		{name: "twice", corefile: ". {\n reload\n reload\n}", want: "Corefile:3: reload: given twice in a server block; the first one is at Corefile:2"},
		{name: "too many", corefile: ". {\n reload 1m 1s 1s\n}", want: `Corefile:2: reload: wants at most 2 arguments, but has 3; write "reload [INTERVAL [JITTER]]"`},
		{name: "a body", corefile: ". {\n reload {\n }\n}", want: "Corefile:2: reload: takes no options in { }"},
		{name: "no unit", corefile: ". {\n reload 30\n}", want: `Corefile:2: reload: "30" has no unit; write 30s for seconds`},
		{name: "no duration", corefile: ". {\n reload often\n}", want: `Corefile:2: reload: "often" is not a duration such as 30s; write "reload [INTERVAL [JITTER]]"`},
		{
			name: "both too short", corefile: ". {\n reload 1s 500ms\n}",
			want: "Corefile:2: reload: the interval 1s is too short; it must be at least 2s\n" +
				"Corefile:2: reload: the jitter 500ms is too short; it must be 0s or at least 1s",
		},
		{name: "below 0", corefile: ". {\n reload 2s -1s\n}", want: "Corefile:2: reload: the jitter -1s is too short; it must be 0s or at least 1s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, test.corefile, "reload"))
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
