package corefile

import (
	"cmp"
	"strconv"
)

// Position is a line of a Corefile or of a file that it imports.
type Position struct {
	File string // as given to Parse, or the absolute path of an imported file
	Line int    // counted from 1
}

// String returns "FILE:LINE".
func (p Position) String() string {
	return p.File + ":" + strconv.Itoa(p.Line)
}

// compare orders positions by file name, then by line.
func (p Position) compare(other Position) int {
	return cmp.Or(cmp.Compare(p.File, other.File), cmp.Compare(p.Line, other.Line))
}
