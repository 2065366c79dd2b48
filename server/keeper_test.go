package server

import (
	"testing"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

// keepSpec is "keep": a directive that keeps a number, taken from a counter when nothing was kept.
func keepSpec(made *int, got *[]int) plugin.Spec {
	return plugin.Spec{Name: "keep", Build: func(env *plugin.Env, _ []*corefile.Directive) (plugin.Handler, error) {
		v := env.Keep("number", func() any { *made++; return *made })
		*got = append(*got, v.(int))
		return &double{name: "keep"}, nil
	}}
}

// What a directive keeps is found again as long as the text that it follows from stays: its own, and that of what is
// behind it in the chain.
func TestKeeper(t *testing.T) {
	t.Parallel()
	const first = ". {\n bind 127.0.0.1\n before x\n keep 5 {\n option a\n }\n answer x\n}"
	var made int
	var got []int
	before := (&double{name: "before"}).spec()
	r := start(t, first, Options{}, before, keepSpec(&made, &got))
	if len(got) != 1 || got[0] != 1 {
		t.Fatalf("kept %v at first, want [1]", got)
	}
	for _, step := range []struct {
		name string
		text string
		want []int // what each block has
		fail bool
	}{
		{name: "same text", text: first, want: []int{1}},
		{name: "other spacing", text: ".   {\n bind 127.0.0.1\n\n before x\n keep 5 {\n  option a\n }\n answer x\n}", want: []int{1}},
		{name: "a bad file", text: ". {\n bind 127.0.0.1\n keep 6\n nonsense\n}", want: []int{2}, fail: true},
		{name: "before the directive", text: ". {\n bind 127.0.0.1\n before y\n keep 5 {\n option a\n }\n answer x\n}", want: []int{1}},
		{name: "one more block", text: first + "\na. {\n bind 127.0.0.1\n keep 5 {\n option a\n }\n answer x\n}", want: []int{1, 3}},
		{name: "behind the directive", text: ". {\n bind 127.0.0.1\n keep 5 {\n option a\n }\n answer y\n}", want: []int{4}},
		{name: "an option", text: ". {\n bind 127.0.0.1\n keep 5 {\n option b\n }\n answer y\n}", want: []int{5}},
		{name: "back again", text: first, want: []int{6}},
	} {
		got = nil
		if err := r.Reload(t.Context(), parse(t, step.text)); (err != nil) != step.fail {
			t.Fatalf("%s: %v", step.name, err)
		}
		if len(got) != len(step.want) {
			t.Fatalf("%s: kept %v, want %v", step.name, got, step.want)
		}
		for i := range got {
			if got[i] != step.want[i] {
				t.Errorf("%s: kept %v, want %v", step.name, got, step.want)
			}
		}
	}
}
