package corefile

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"ttl", "pods", "fallthrough", "namespaces", "kubernetes", "tls", "on"}
	for _, c := range []struct{ name, word, want string }{
		{name: "exact", word: "pods", want: "pods"},
		{name: "replaced", word: "ttk", want: "ttl"},
		{name: "swapped", word: "pdos", want: "pods"},
		{name: "missing letter", word: "kubernets", want: "kubernetes"},
		{name: "added letter", word: "falllthrough", want: "fallthrough"},
		{name: "three edits in a long word", word: "namspce", want: ""},
		{name: "two edits in a long word", word: "namspaces2", want: "namespaces"},
		{name: "upper case", word: "TTL", want: "ttl"},
		{name: "equally near, first wins", word: "tl", want: "ttl"},
		{name: "two edits in a short word", word: "abl", want: ""},
		{name: "one letter", word: "o", want: ""},
		{name: "empty", word: "", want: ""},
		{name: "unrelated", word: "prometheus", want: ""},
		{name: "too long to compare", word: strings.Repeat("t", 1<<20), want: ""},
	} {
		if got := Nearest(c.word, known); got != c.want {
			t.Errorf("%s: Nearest(%.20q) = %q, want %q", c.name, c.word, got, c.want)
		}
	}
	if got := Nearest("ttl", []string{"", strings.Repeat("ttl", 1<<20)}); got != "" {
		t.Errorf("Nearest found %.20q among words that are empty or too long", got)
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want int
	}{
		{a: "", b: "", want: 0},
		{a: "", b: "abc", want: 3},
		{a: "abc", b: "", want: 3},
		{a: "kitten", b: "sitting", want: 3},
		{a: "ab", b: "ba", want: 1},
		{a: "ca", b: "abc", want: 3}, // 2 without the restriction of optimal string alignment
	} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
