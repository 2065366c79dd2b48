package corefile

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const divider = "----------\n"

// TestGolden reads every testdata/*.corefile.txt: a Corefile, a divider, and what becomes of it, which is a dump of its blocks or
// its errors. Directives called "sample" are decoded too. UPDATE_GOLDEN=1 writes the files anew.
func TestGolden(t *testing.T) {
	for name, value := range map[string]string{
		"COREFILE_ZONE": "env.example", "COREFILE_INNER": "1.1.1.1", "COREFILE_OUTER": "{$COREFILE_INNER}", "COREFILE_LOOP": "x{$COREFILE_LOOP}",
		"COREFILE_IMPORTS": "imports", "COREFILE_NOTHING": "",
	} {
		t.Setenv(name, value)
	}
	paths, err := filepath.Glob("testdata/*.corefile.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".corefile.txt"), func(t *testing.T) {
			compareGolden(t, path)
		})
	}
}

func compareGolden(t *testing.T, path string) {
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	input, want, found := strings.Cut(string(content), divider)
	if !found {
		t.Fatalf("%s has no line %q", path, strings.TrimSpace(divider))
	}
	got := outcome(t, []byte(input))
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(input+divider+got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: -want +got\n%s", path, diff)
	}
}

// outcome parses input as testdata/Corefile. The absolute path of testdata, which imported files have, becomes DIR.
func outcome(t *testing.T, input []byte) string {
	folder, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(folder, "Corefile")
	var text strings.Builder
	if file, err := Parse(name, input); err != nil {
		fmt.Fprintln(&text, err)
	} else {
		writeFile(&text, file)
	}
	return strings.NewReplacer(name, "Corefile", folder, "DIR").Replace(text.String())
}

func writeFile(text *strings.Builder, file *File) {
	var problems Errors
	for _, block := range file.Blocks {
		fmt.Fprintf(text, "%s block", block.Pos)
		for _, key := range block.Keys {
			fmt.Fprintf(text, " %q@%s:%d", key.Text, filepath.Base(key.Pos.File), key.Pos.Line)
		}
		fmt.Fprintln(text)
		for _, d := range block.Directives {
			writeDirective(text, d, "  ")
			if d.Name == "sample" {
				writeSample(text, d, &problems)
			}
		}
	}
	if err := problems.Err(); err != nil {
		fmt.Fprintln(text, err)
	}
}

func writeDirective(text *strings.Builder, d *Directive, indent string) {
	fmt.Fprintf(text, "%s%s %s", indent, d.Pos, d.Name)
	for _, arg := range d.Args {
		fmt.Fprintf(text, " %q", arg.Text)
		if arg.Pos != d.Pos {
			fmt.Fprintf(text, "@%d", arg.Pos.Line)
		}
	}
	if d.Body != nil {
		fmt.Fprint(text, " {}")
	}
	fmt.Fprintln(text)
	for _, line := range d.Body {
		writeDirective(text, line, indent+"  ")
	}
}

// sample has an option of each kind.
type sample struct {
	Ready   bool
	Name    string
	Zones   []string
	TTL     int
	Size    int
	Wait    time.Duration
	Period  time.Duration
	Policy  string
	Servers []string
}

func (s *sample) decode(d *Directive) error {
	var problems Errors
	problems.Join(d.WantArgs(0, 1, "sample [NAME]"))
	problems.Join(d.Decode(
		Flag("ready", &s.Ready),
		String("name", "name NAME", &s.Name),
		Strings("zones", "zones ZONE...", 1, &s.Zones),
		Int("ttl", "ttl SECONDS", &s.TTL, 0, 3600),
		Int("size", "size BYTES", &s.Size, 1, math.MaxInt),
		Duration("wait", "wait DURATION", &s.Wait, 0, time.Hour),
		Duration("period", "period DURATION", &s.Period, 90*time.Second, 0),
		Enum("policy", &s.Policy, "random", "round_robin", "sequential"),
		Func("server", "server ADDRESS [PORT [WEIGHT]]", 1, 3, s.server).Repeated().WithBody(),
		Option{Name: "ignored", Form: "ignored"},
	))
	return problems.Err()
}

func (s *sample) server(o *Directive) error {
	s.Servers = append(s.Servers, o.Args[0].Text)
	var tls bool
	return o.Decode(Flag("tls", &tls))
}

func writeSample(text *strings.Builder, d *Directive, problems *Errors) {
	var s sample
	if err := s.decode(d); err != nil {
		problems.Join(err)
		return
	}
	fmt.Fprintf(text, "    = %+v\n", s)
}
