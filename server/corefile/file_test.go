package corefile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coredns/caddy/caddyfile"
)

func TestParseNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, want string }{
		{name: "", want: "Corefile:2"},
		{name: "other", want: "other:2"},
		{name: "/etc/coredns/Corefile", want: "/etc/coredns/Corefile:2"},
	} {
		file, err := Parse(c.name, []byte(". {\n  errors\n}\n"))
		if err != nil {
			t.Fatalf("Parse(%q): %v", c.name, err)
		}
		if got := file.Blocks[0].Directives[0].Pos.String(); got != c.want {
			t.Errorf("Parse(%q) places a directive at %s, want %s", c.name, got, c.want)
		}
	}
}

func TestParseByteOrderMarkAndCarriageReturns(t *testing.T) {
	t.Parallel()
	file, err := Parse("Corefile", []byte("\ufeff. {\r\n  cache 30\r\n}\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	d := file.Blocks[0].Directives[0]
	if file.Blocks[0].Keys[0].Text != "." || d.Name != "cache" || d.Args[0].Text != "30" {
		t.Errorf("got keys %v, directive %v", file.Blocks[0].Keys, d)
	}
}

func TestParseErrorIsPositioned(t *testing.T) {
	t.Parallel()
	_, err := Parse("Corefile", []byte(". {\n  errors }\n}\n"))
	var positioned *Error
	if !errors.As(err, &positioned) {
		t.Fatalf("%v holds no *Error", err)
	}
	if want := (Position{File: "Corefile", Line: 2}); positioned.Pos != want {
		t.Errorf("position %v, want %v", positioned.Pos, want)
	}
}

func TestParseBoundsNesting(t *testing.T) {
	t.Parallel()
	const deep = 100000
	_, err := Parse("Corefile", []byte(". {\n"+strings.Repeat("a {\n", deep)+strings.Repeat("}\n", deep)+"}\n"))
	if err == nil || !strings.Contains(err.Error(), "nested more than 32 deep") {
		t.Errorf("got error %v", err)
	}
}

func TestParseRefusesImports(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("many.conf", strings.Repeat("import none.conf\n", maxImports+1))
	write("none.conf", "# nothing\n")
	write("Corefile", "import Corefile\n")
	if err := os.Symlink("nowhere", filepath.Join(folder, "dangling.conf")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		input string
		want  string
	}{
		{name: "device", input: ". {\n  import /dev/zero\n}\n", want: "Corefile:2: import: /dev/zero is not a regular file"},
		{name: "device in a snippet", input: "(a) {\n  import /dev/zero\n}\n. {\n  import a\n}\n", want: "Corefile:2: import: /dev/zero is not a regular file"},
		{name: "device behind a brace", input: ". { import /dev/zero\n}\n", want: "Corefile:1: import: /dev/zero is not a regular file"},
		{name: "dangling link", input: ". {\n  import dangling.conf\n}\n", want: "no such file"},
		{name: "itself", input: "import Corefile\n", want: "imports itself"},
		{name: "too many", input: "import many.conf\n", want: "more than 10000 files are imported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse(filepath.Join(folder, "Corefile"), []byte(c.input))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want %q", err, c.want)
			}
		})
	}
}

func TestGuarded(t *testing.T) {
	t.Parallel()
	_, err := guarded("Corefile", func() ([]caddyfile.ServerBlock, error) { panic(os.ErrDeadlineExceeded) })
	if err == nil {
		t.Fatal("no error for a panic")
	}
	want := "Corefile:1: cannot be read: " + os.ErrDeadlineExceeded.Error()
	if got := explainSyntax(err, "Corefile", &outline{}).Error(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestParseUnreadableImport(t *testing.T) {
	t.Parallel()
	const unreadable = "/proc/self/mem" // a regular file whose first page is not mapped
	if _, err := os.Stat(unreadable); err != nil {
		t.Skipf("needs %s: %v", unreadable, err)
	}
	_, err := Parse("Corefile", []byte("\nimport "+unreadable+"\n"))
	if err == nil || !strings.HasPrefix(err.Error(), "Corefile:2: import: read "+unreadable) {
		t.Errorf("got error %v, want one at Corefile:2 that names %s", err, unreadable)
	}
}

// FuzzCorefile checks that no input panics, that every position has a line, and that the outline sees the blocks which
// caddyfile sees. Inputs that import are left out: they would read files of the machine.
func FuzzCorefile(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if imports(content) {
			t.Skip() // of files that a test must not read
		}
		file, err := Parse("Corefile", content)
		if err != nil {
			checkErrors(t, err)
			return
		}
		compareBlocks(t, file, content)
		for _, block := range file.Blocks {
			for _, d := range block.Directives {
				checkLines(t, d)
				if err := new(sample).decode(d); err != nil {
					checkErrors(t, err)
				}
			}
		}
	})
}

func checkErrors(t *testing.T, err error) {
	var many Errors
	if !errors.As(err, &many) || len(many) == 0 {
		t.Fatalf("%v (%T) is no Errors", err, err)
	}
	for _, one := range many {
		var positioned *Error
		if !errors.As(one, &positioned) || positioned.Pos.Line < 1 || positioned.Pos.File != "Corefile" || positioned.Problem == "" {
			t.Fatalf("%v has no place", one)
		}
	}
}

func checkLines(t *testing.T, d *Directive) {
	if d.Pos.Line < 1 || d.Pos.File != "Corefile" {
		t.Fatalf("%s has no place: %v", d.Name, d.Pos)
	}
	for _, arg := range d.Args {
		if arg.Pos.Line < d.Pos.Line || arg.Pos.File != "Corefile" {
			t.Fatalf("argument %q of %s at %s is at %s", arg.Text, d.Name, d.Pos, arg.Pos)
		}
	}
	for _, line := range d.Body {
		checkLines(t, line)
	}
}

// imports tells whether the word stands in a text, in which carriage returns count for nothing.
func imports(content []byte) bool {
	return bytes.Contains(bytes.ReplaceAll(content, []byte("\r"), nil), []byte("import"))
}

// compareBlocks compares with what caddyfile alone makes of the text.
func compareBlocks(t *testing.T, file *File, content []byte) []caddyfile.ServerBlock {
	servers, err := caddyfile.Parse("Corefile", bytes.NewReader(content), nil)
	if err != nil || len(servers) != len(file.Blocks) {
		t.Fatalf("caddyfile has %d blocks and error %v, Parse has %d blocks", len(servers), err, len(file.Blocks))
	}
	for i, server := range servers {
		for _, d := range file.Blocks[i].Directives {
			if _, ok := server.Tokens[d.Name]; !ok {
				t.Fatalf("caddyfile has no directive %q", d.Name)
			}
		}
	}
	return servers
}

// TestOutlineKnowsPlaces: in every text that somebody would write, keys and directives are where the text has them. (In
// others, braces side by side and the like, places are the nearest known, which no fuzzing input may break.)
func TestOutlineKnowsPlaces(t *testing.T) {
	for _, content := range seeds(t) {
		if imports(content) {
			continue // has golden files of its own
		}
		file, err := Parse("Corefile", content)
		if err != nil {
			continue
		}
		text, err := readOutline("Corefile", content)
		if err != nil {
			t.Fatal(err)
		}
		for i, server := range compareBlocks(t, file, content) {
			if h := text.nextHeader(server.Keys); h == nil {
				t.Errorf("the outline has no keys %q in %q", server.Keys, content)
			}
			last := 0
			for _, d := range file.Blocks[i].Directives {
				if d.Pos.Line < last {
					t.Errorf("directive %s at line %d comes after one at line %d in %q", d.Name, d.Pos.Line, last, content)
				}
				last = d.Pos.Line
			}
		}
	}
}

// seeds are the texts of the golden files, and some that are hardly texts.
func seeds(t testing.TB) (all [][]byte) {
	paths, err := filepath.Glob("testdata/*.corefile.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		input, _, _ := bytes.Cut(content, []byte(divider))
		all = append(all, input)
	}
	for _, seed := range []string{"{", "}", "a\n}\nb {", "\xff{$", "{$}{%%}", "\"", "a,\n{", "(a) {\n{\n", ". {\nx {\n{\n}\n}\n}\n", "a\n{$\n{\n}"} {
		all = append(all, []byte(seed))
	}
	return all
}
