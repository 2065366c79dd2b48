package corefile

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Error is a problem at one place of a Corefile.
type Error struct {
	Pos     Position
	Problem string
}

// Error returns "FILE:LINE: PROBLEM".
func (e *Error) Error() string {
	return e.Pos.String() + ": " + e.Problem
}

func (p Position) errorf(format string, args ...any) *Error {
	return &Error{Pos: p, Problem: fmt.Sprintf(format, args...)}
}

// Errors collects problems, so that an operator sees all of them at once. The zero value is ready to use.
type Errors []error

// Add appends a problem at pos.
func (e *Errors) Add(pos Position, format string, args ...any) {
	*e = append(*e, pos.errorf(format, args...))
}

// Join appends err, or each of its parts when it stands for several errors. A nil err adds nothing.
func (e *Errors) Join(err error) {
	if err == nil {
		return
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range many.Unwrap() {
			e.Join(one)
		}
		return
	}
	*e = append(*e, err)
}

// Err returns nil when nothing was collected, else an Errors without duplicates, sorted by file and line. Errors that
// have no position come last; those of one line stay in the order in which they were found.
func (e *Errors) Err() error {
	if len(*e) == 0 {
		return nil
	}
	sorted := slices.Clone(*e)
	slices.SortStableFunc(sorted, comparePlaces)
	seen := make(map[string]bool, len(sorted))
	return slices.DeleteFunc(sorted, func(err error) bool {
		text := err.Error()
		duplicate := seen[text]
		seen[text] = true
		return duplicate
	})
}

// Error returns one problem per line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the collected errors for errors.Is and errors.As.
func (e Errors) Unwrap() []error { return e }

func comparePlaces(a, b error) int {
	var placedA, placedB *Error
	switch knownA, knownB := errors.As(a, &placedA), errors.As(b, &placedB); {
	case knownA && knownB:
		return placedA.Pos.compare(placedB.Pos)
	case knownA:
		return -1
	case knownB:
		return 1
	}
	return 0
}
