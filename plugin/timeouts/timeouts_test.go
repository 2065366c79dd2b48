package timeouts

import (
	"io"
	"testing"
	"time"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

func TestTimeouts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, body string
		want       plugin.Timeouts
	}{
		{name: "all", body: "read 1s\n write 1m30s\n idle 24h\n maxtcpqueries 7",
			want: plugin.Timeouts{Read: time.Second, Write: 90 * time.Second, Idle: 24 * time.Hour, Queries: 7}},
		{name: "one", body: "idle 20s", want: plugin.Timeouts{Idle: 20 * time.Second}},
		{name: "bare numbers are seconds", body: "read 30\n write 2", want: plugin.Timeouts{Read: 30 * time.Second, Write: 2 * time.Second}},
		{name: "any number of queries", body: "maxtcpqueries -1", want: plugin.Timeouts{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			env := block.NewEnv(io.Discard)
			h, err := Spec().Build(env, block.Lines(t, ". {\n timeouts {\n "+test.body+"\n }\n}", "timeouts"))
			if err != nil || h != nil {
				t.Fatalf("handler %v, error %v", h, err)
			}
			if env.Listen.Timeouts != test.want {
				t.Errorf("got %+v, want %+v", env.Listen.Timeouts, test.want)
			}
		})
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, corefile, want string }{
		{name: "an argument", corefile: ". {\n timeouts 5s {\n  read 5s\n }\n}", want: `Corefile:2: timeouts: takes no argument, but has "5s"`},
		{name: "nothing", corefile: ". {\n timeouts {\n }\n}", want: "Corefile:2: timeouts: no timeout is given; write at least one of read, write, idle in { }"},
		{name: "no body", corefile: ". {\n timeouts\n}", want: "Corefile:2: timeouts: no timeout is given; write at least one of read, write, idle in { }"},
		{
			name: "out of range, all of them", corefile: ". {\n timeouts {\n  read 999ms\n  write 25h\n  idle 0\n  maxtcpqueries 0\n }\n}",
			want: `Corefile:3: read: "999ms" is out of range; it must be from 1s to 24h` + "\n" +
				`Corefile:4: write: "25h" is out of range; it must be from 1s to 24h` + "\n" +
				`Corefile:5: idle: "0" is out of range; it must be from 1s to 24h` + "\n" +
				`Corefile:6: maxtcpqueries: "0" is neither a number of queries above 0, nor -1 for any number`,
		},
		{name: "no duration", corefile: ". {\n timeouts {\n  read soon\n }\n}", want: `Corefile:3: read: "soon" is not a duration such as 5s, or a number of seconds`},
		{name: "an unknown one", corefile: ". {\n timeouts {\n  wirte 5s\n }\n}",
			want: `Corefile:3: timeouts: unknown option "wirte"; did you mean "write"? (known options: idle, maxtcpqueries, read, write)`},
		{name: "twice", corefile: ". {\n timeouts {\n  read 5s\n  read 6s\n }\n}", want: "Corefile:4: read: given twice in timeouts; the first one is at Corefile:3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, test.corefile, "timeouts"))
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
