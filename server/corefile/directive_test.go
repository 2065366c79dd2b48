package corefile

import (
	"fmt"
	"testing"
	"time"
)

func TestDecodeWithoutOptions(t *testing.T) {
	t.Parallel()
	file, err := Parse("Corefile", []byte(". {\n  loop {\n    fast\n  }\n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	d := file.Blocks[0].Directives[0]
	if got, want := fmt.Sprint(d.Decode()), `Corefile:3: loop: unknown option "fast"; loop takes none`; got != want {
		t.Errorf("Decode: got %q, want %q", got, want)
	}
	if got, want := fmt.Sprint(d.NoBody()), "Corefile:2: loop: takes no options in { }"; got != want {
		t.Errorf("NoBody: got %q, want %q", got, want)
	}
}

func TestDecodeKeepsDefaults(t *testing.T) {
	t.Parallel()
	wait, ttl := 5*time.Second, 30
	file, err := Parse("Corefile", []byte(". {\n  x {\n    wait 2h\n    ttl 7\n  }\n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	err = file.Blocks[0].Directives[0].Decode(
		Duration("wait", "wait DURATION", &wait, 0, time.Hour),
		Int("ttl", "ttl SECONDS", &ttl, 0, 3600),
	)
	if err == nil || wait != 5*time.Second || ttl != 7 {
		t.Errorf("got error %v, wait %v, ttl %d; want an error, the default wait of 5s, and the ttl after it", err, wait, ttl)
	}
}

func TestWantArgs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		args     int
		min, max int
		want     string // "" for no error
	}{
		{name: "exact", args: 2, min: 2, max: 2},
		{name: "unlimited", args: 9, min: 1, max: -1},
		{name: "none allowed", args: 2, min: 0, max: 0, want: `F:1: x: takes no argument, but has "a" "a"`},
		{name: "too few", args: 0, min: 1, max: -1, want: `F:1: x: wants at least 1 argument, but has 0; write "x A..."`},
		{name: "too many", args: 2, min: 0, max: 1, want: `F:1: x: wants at most 1 argument, but has 2; write "x A..."`},
		{name: "range", args: 4, min: 2, max: 3, want: `F:1: x: wants 2 to 3 arguments, but has 4; write "x A..."`},
	} {
		d := &Directive{Name: "x", Pos: Position{File: "F", Line: 1}}
		for range c.args {
			d.Args = append(d.Args, Token{Text: "a"})
		}
		got := ""
		if err := d.WantArgs(c.min, c.max, "x A..."); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func ExampleDirective_Decode() {
	file, err := Parse("Corefile", []byte(`. {
    hosts {
        ttk 60
        reload 5
    }
}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	var (
		ttl    int
		reload time.Duration
	)
	fmt.Println(file.Blocks[0].Directives[0].Decode(
		Int("ttl", "ttl SECONDS", &ttl, 0, 65535),
		Duration("reload", "reload DURATION", &reload, 0, 0),
	))
	// Output:
	// Corefile:3: hosts: unknown option "ttk"; did you mean "ttl"? (known options: reload, ttl)
	// Corefile:4: reload: "5" has no unit; write 5s for seconds
}

func TestOnly(t *testing.T) {
	t.Parallel()
	first := &Directive{Name: "ready", Pos: Position{File: "Corefile", Line: 2}}
	second := &Directive{Name: "ready", Pos: Position{File: "Corefile", Line: 5}}
	if got, err := Only([]*Directive{first}); got != first || err != nil {
		t.Errorf("Only is %v, %v, want the line itself", got, err)
	}
	want := "Corefile:5: ready: given twice in a server block; the first one is at Corefile:2"
	if _, err := Only([]*Directive{first, second}); err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

func TestAnyCase(t *testing.T) {
	t.Parallel()
	d := &Directive{Name: "acl", Body: []*Directive{{Name: "ALLOW", Args: []Token{{Text: "Net"}}}, {Name: "block"}}}
	got := d.AnyCase()
	if got.Name != "acl" || got.Body[0].Name != "allow" || got.Body[0].Args[0].Text != "Net" || got.Body[1].Name != "block" {
		t.Errorf("%+v %+v", got, got.Body[0])
	}
	if d.Body[0].Name != "ALLOW" {
		t.Error("the original was changed")
	}
	if bare := (&Directive{Name: "acl"}).AnyCase(); bare.Body != nil {
		t.Error("a directive without a body has got one")
	}
}
