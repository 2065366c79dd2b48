package corefile

import "testing"

// What a Corefile says changes its checksum; how it is written down does not.
func TestSum(t *testing.T) {
	t.Parallel()
	const first = "a.example b.example {\n  forward . 192.0.2.1 {\n    max_fails 3\n  }\n  log\n}\n"
	sum := func(t *testing.T, text string) [64]byte {
		t.Helper()
		f, err := Parse("Corefile", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return f.Sum()
	}
	want := sum(t, first)
	for _, test := range []struct {
		name, text string
		same       bool
	}{
		{name: "the same", text: first, same: true},
		{name: "comments and white space", text: "# comment\na.example\tb.example {\n\n forward . \"192.0.2.1\" {\n  max_fails 3\n }\n # comment\n log\n}", same: true},
		{name: "a snippet", text: "(s) {\n log\n}\na.example b.example {\n forward . 192.0.2.1 {\n  max_fails 3\n }\n import s\n}\n", same: true},
		{name: "another key", text: "a.example c.example {\n  forward . 192.0.2.1 {\n    max_fails 3\n  }\n  log\n}\n"},
		{name: "one key less", text: "a.example {\n  forward . 192.0.2.1 {\n    max_fails 3\n  }\n  log\n}\n"},
		{name: "another argument", text: "a.example b.example {\n  forward . 192.0.2.2 {\n    max_fails 3\n  }\n  log\n}\n"},
		{name: "another option", text: "a.example b.example {\n  forward . 192.0.2.1 {\n    max_fails 4\n  }\n  log\n}\n"},
		{name: "an option as a directive", text: "a.example b.example {\n  forward . 192.0.2.1 {\n  }\n  max_fails 3\n  log\n}\n"},
		{name: "another order", text: "a.example b.example {\n  log\n  forward . 192.0.2.1 {\n    max_fails 3\n  }\n}\n"},
		{name: "two blocks", text: first + "c.example {\n}\n"},
		{name: "an empty body", text: "a.example b.example {\n  forward . 192.0.2.1 {\n    max_fails 3\n  }\n  log {\n  }\n}\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if same := sum(t, test.text) == want; same != test.same {
				t.Errorf("the same is %v, want %v", same, test.same)
			}
		})
	}
}
