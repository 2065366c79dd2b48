package corefile

import (
	"fmt"
	"slices"
	"strings"
)

// Errorf returns an *Error at d: "FILE:LINE: NAME: ...".
func (d *Directive) Errorf(format string, args ...any) error {
	return d.Pos.errorf("%s: %s", d.Name, fmt.Sprintf(format, args...))
}

// Errorf returns an *Error at t: "FILE:LINE: ...".
func (t Token) Errorf(format string, args ...any) error {
	return t.Pos.errorf(format, args...)
}

// Decode checks the body of d against options and decodes each line of it. A directive without a body is in order. It goes on
// after an error; the error returned is an Errors of everything found.
func (d *Directive) Decode(options ...Option) error {
	var (
		problems Errors
		first    = make(map[string]Position, len(options))
	)
	for _, line := range d.Body {
		at := slices.IndexFunc(options, func(o Option) bool { return o.Name == line.Name })
		if at < 0 {
			problems.Join(d.unknown(line, options))
			continue
		}
		option := options[at]
		if before, again := first[line.Name]; again && !option.Repeat {
			problems.Join(line.Errorf("given twice in %s; the first one is at %s", d.Name, before))
			continue
		}
		first[line.Name] = line.Pos
		problems.Join(option.decode(line))
	}
	return problems.Err()
}

// decode checks the shape of line before its meaning, so that a Decode function may index its arguments.
func (o Option) decode(line *Directive) error {
	if err := line.WantArgs(o.Min, o.Max, o.Form); err != nil {
		return err
	}
	if !o.Nested {
		if err := line.NoBody(); err != nil {
			return err
		}
	}
	if o.Decode == nil {
		return nil
	}
	return o.Decode(line)
}

// AnyCase returns d with the names of its options in lower case, for a directive whose options may be written in any.
func (d *Directive) AnyCase() *Directive {
	lowered := *d
	lowered.Body = slices.Clone(d.Body)
	for i, line := range lowered.Body {
		option := *line
		option.Name = strings.ToLower(line.Name)
		lowered.Body[i] = &option
	}
	return &lowered
}

// Only returns the line of a directive that may stand in a server block only once.
func Only(lines []*Directive) (*Directive, error) {
	if len(lines) > 1 {
		return nil, lines[1].Errorf("given twice in a server block; the first one is at %s", lines[0].Pos)
	}
	return lines[0], nil
}

// NoBody returns an error when d has a body, be it empty.
func (d *Directive) NoBody() error {
	if d.Body == nil {
		return nil
	}
	return d.Errorf("takes no options in { }")
}

// WantArgs returns an error unless d has min to max arguments, any number when max is below 0. The error shows form, the line as
// it should be written.
func (d *Directive) WantArgs(min, max int, form string) error {
	n := len(d.Args)
	if n >= min && (max < 0 || n <= max) {
		return nil
	}
	if max == 0 {
		return d.Errorf("takes no argument, but has %s", quoted(d.Args))
	}
	return d.Errorf("wants %s, but has %d; write %q", argumentCount(min, max), n, form)
}

func argumentCount(min, max int) string {
	switch {
	case max < 0:
		return "at least " + plural(min)
	case min == max:
		return plural(min)
	case min == 0:
		return "at most " + plural(max)
	default:
		return fmt.Sprintf("%d to %s", min, plural(max))
	}
}

func plural(arguments int) string {
	if arguments == 1 {
		return "1 argument"
	}
	return fmt.Sprintf("%d arguments", arguments)
}

func quoted(args []Token) string {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = fmt.Sprintf("%q", arg.Text)
	}
	return strings.Join(words, " ")
}

// unknown is the error for a line that no option declares. It stands at the line and names d, whose options are meant.
func (d *Directive) unknown(line *Directive, options []Option) error {
	if len(options) == 0 {
		return line.Pos.errorf("%s: unknown option %q; %s takes none", d.Name, line.Name, d.Name)
	}
	known := make([]string, len(options))
	for i, option := range options {
		known[i] = option.Name
	}
	slices.Sort(known)
	return line.Pos.errorf("%s: unknown option %q%s (known options: %s)",
		d.Name, line.Name, didYouMean(line.Name, known), strings.Join(known, ", "))
}
