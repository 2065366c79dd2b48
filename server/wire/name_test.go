package wire

import (
	"strings"
	"testing"
)

func TestLower(t *testing.T) {
	t.Parallel()
	for at := range 19 {
		for c := range 256 {
			src := []byte(strings.Repeat("Zq@", 7))[:19]
			src[at] = byte(c)
			got := make([]byte, len(src))
			lower(got, src)
			for i, b := range src {
				want := b
				if 'A' <= b && b <= 'Z' {
					want += 'a' - 'A'
				}
				if got[i] != want {
					t.Fatalf("byte %#x at %d beside %#x: %#x, want %#x", b, i, c, got[i], want)
				}
			}
		}
	}
}

func TestParseName(t *testing.T) {
	t.Parallel()
	label := strings.Repeat("a", 63)
	cases := []struct {
		name   string
		text   string
		want   Name
		labels int
		bad    bool
	}{
		{name: "root", text: ".", want: Root},
		{name: "absolute", text: "Cluster.Local.", want: "\x07cluster\x05local\x00", labels: 2},
		{name: "without the final dot", text: "cluster.local", want: "\x07cluster\x05local\x00", labels: 2},
		{name: "escapes", text: `a\.b.\065`, want: "\x03a.b\x01a\x00", labels: 2},
		{name: "longest label", text: label, want: Name("\x3f" + label + "\x00"), labels: 1},
		{name: "label too long", text: label + "a", bad: true},
		{name: "longest name", text: strings.Repeat("a.", 127), want: Name(strings.Repeat("\x01a", 127) + "\x00"), labels: 127},
		{name: "name too long", text: strings.Repeat("a.", 128), bad: true},
		{name: "empty", text: "", bad: true},
		{name: "empty label", text: "a..b", bad: true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseName(c.text)
			if (err != nil) != c.bad || got != c.want {
				t.Fatalf("ParseName(%q) = %q, %v; want %q", c.text, string(got), err, string(c.want))
			}
			if c.bad {
				return
			}
			if got.Labels() != c.labels {
				t.Errorf("%d labels, want %d", got.Labels(), c.labels)
			}
			if again, err := ParseName(got.String()); err != nil || again != got {
				t.Errorf("%q is read back as %q (%v)", got, again, err)
			}
		})
	}
}

func TestNameContainsAndJoin(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		zone string
		in   bool
	}{
		{name: "a.b.", zone: ".", in: true},
		{name: "a.b.", zone: "b.", in: true},
		{name: "a.b.", zone: "a.b.", in: true},
		{name: "a.xb.", zone: "b."},
		{name: "b.", zone: "a.b."},
		{name: `\001b.`, zone: "b."}, // the bytes 02 01 'b' 00 end in 01 'b' 00
	}
	for _, c := range cases {
		t.Run(c.name+" in "+c.zone, func(t *testing.T) {
			t.Parallel()
			if got := mustName(t, c.zone).Contains(mustName(t, c.name)); got != c.in {
				t.Errorf("got %v", got)
			}
			q := askFor(t, c.name, 1)
			if _, got := q.Within(mustName(t, c.zone)); got != c.in {
				t.Errorf("Within: got %v", got)
			}
		})
	}
	if got := mustName(t, "a.").Join(mustName(t, "b.c.")); got != mustName(t, "a.b.c.") {
		t.Errorf("Join: %s", got)
	}
}
