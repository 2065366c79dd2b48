package multisocket

import (
	"io"
	"testing"

	"github.com/nameplane/nameplane/test/block"
)

func TestAccepted(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, corefile, log string }{
		{name: "as many as there are processors", corefile: ". {\n multisocket\n}"},
		{name: "the number that there is", corefile: ". {\n multisocket 1\n}"},
		{name: "another number", corefile: ". {\n multisocket 1024\n}",
			log: "[WARN] the number 1024 has no effect: an address has 1 sockets, one for each processor (GOMAXPROCS)\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			log := new(block.Buffer)
			h, err := Spec().Build(block.NewEnv(log), block.Lines(t, test.corefile, "multisocket"))
			if err != nil || h != nil || log.String() != test.log {
				t.Errorf("handler %v, error %v, log %q, want %q", h, err, log, test.log)
			}
		})
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, corefile, want string }{
		{name: "twice", corefile: ". {\n multisocket\n multisocket\n}", want: "Corefile:3: multisocket: given twice in a server block; the first one is at Corefile:2"},
		{name: "two numbers", corefile: ". {\n multisocket 1 2\n}", want: `Corefile:2: multisocket: wants at most 1 argument, but has 2; write "multisocket [NUMBER]"`},
		{name: "none", corefile: ". {\n multisocket 0\n}", want: `Corefile:2: multisocket: "0" is not a whole number from 1 to 1024`},
		{name: "too many", corefile: ". {\n multisocket 1025\n}", want: `Corefile:2: multisocket: "1025" is not a whole number from 1 to 1024`},
		{name: "no number", corefile: ". {\n multisocket all\n}", want: `Corefile:2: multisocket: "all" is not a whole number from 1 to 1024`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, test.corefile, "multisocket"))
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
