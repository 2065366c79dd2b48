package debug

import (
	"io"
	"testing"

	"github.com/nameplane/nameplane/test/block"
)

func TestBuild(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile, want string
	}{
		{name: "plain", corefile: ".:53 {\n debug\n}"},
		{name: "an argument", corefile: ".:53 {\n debug on\n}", want: `Corefile:2: debug: takes no argument, but has "on"`},
		{name: "options", corefile: ".:53 {\n debug {\n }\n}", want: "Corefile:2: debug: takes no options in { }"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			env := block.NewEnv(io.Discard)
			h, err := Spec().Build(env, block.Lines(t, test.corefile, "debug"))
			if h != nil {
				t.Errorf("there is a handler %v: a directive about listeners has none", h)
			}
			switch {
			case test.want == "" && (err != nil || !env.Listen.Debug):
				t.Errorf("error %v, Debug %v", err, env.Listen.Debug)
			case test.want != "" && (err == nil || err.Error() != test.want):
				t.Errorf("error is %v, want %s", err, test.want)
			}
		})
	}
}

func TestReadme(t *testing.T) {
	t.Parallel()
	block.BuildExamples(t, Spec())
}
