package corefile

import (
	"crypto/sha512"
	"strconv"
)

// Sum is a checksum of what f says: its keys and directives, wherever they stand. Comments, white space and the way in
// which the text is spread over files do not count.
func (f *File) Sum() [sha512.Size]byte {
	var text []byte
	for _, block := range f.Blocks {
		for _, key := range block.Keys {
			text = strconv.AppendQuote(text, key.Text)
		}
		text = append(text, '{')
		for _, d := range block.Directives {
			text = d.Append(text)
		}
		text = append(text, '}')
	}
	return sha512.Sum512(text)
}

// Append appends d to text so that two directives differ there when they do without their places.
func (d *Directive) Append(text []byte) []byte {
	text = strconv.AppendQuote(text, d.Name)
	for _, arg := range d.Args {
		text = strconv.AppendQuote(append(text, ' '), arg.Text)
	}
	if d.Body != nil {
		text = append(text, '{')
		for _, line := range d.Body {
			text = line.Append(text)
		}
		text = append(text, '}')
	}
	return append(text, '\n')
}
