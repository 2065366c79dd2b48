package corefile

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestErrorsEmpty(t *testing.T) {
	t.Parallel()
	var e Errors
	e.Join(nil)
	e.Join(errors.Join(nil, nil))
	if err := e.Err(); err != nil {
		t.Errorf("Err() = %#v, want nil", err)
	}
}

func TestErrorsSortedWithoutDuplicates(t *testing.T) {
	t.Parallel()
	at := func(file string, line int) Position { return Position{File: file, Line: line} }
	var inner, e Errors
	inner.Add(at("Corefile", 10), "ten")
	inner.Add(at("Corefile", 2), "two, found first")
	e.Join(errors.New("no place"))
	e.Join(inner.Err())
	e.Join(errors.New("no place either"))
	e.Add(at("Corefile", 2), "two, found %s", "second")
	e.Add(at("Another", 99), "elsewhere")
	e.Join(errors.Join(Token{Pos: at("Corefile", 10)}.Errorf("ten"), fmt.Errorf("outer: %w", at("Corefile", 3).errorf("three"))))
	want := `Another:99: elsewhere
Corefile:2: two, found first
Corefile:2: two, found second
outer: Corefile:3: three
Corefile:10: ten
no place
no place either`
	err := e.Err()
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if len(e) != 8 {
		t.Errorf("Err changed the collection to %d errors, want all 8", len(e))
	}
	var positioned *Error
	if !errors.As(err, &positioned) || positioned.Problem != "elsewhere" {
		t.Errorf("errors.As finds %v, want the first error", positioned)
	}
}

func TestDirectiveErrorf(t *testing.T) {
	t.Parallel()
	d := &Directive{Name: "cache", Pos: Position{File: "Corefile", Line: 12}}
	if got, want := d.Errorf("%d%% is too much", 101).Error(), "Corefile:12: cache: 101% is too much"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
