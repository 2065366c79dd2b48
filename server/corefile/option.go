package corefile

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Option declares one line that may stand in a directive's body.
type Option struct {
	Name   string
	Form   string // the whole line as it is written, "ttl SECONDS"; errors show it
	Min    int    // least number of arguments
	Max    int    // greatest number of arguments; below 0 for any number
	Repeat bool   // the line may occur more than once
	Nested bool   // the line may have a body of its own, which Decode reads

	// Decode takes the line after its number of arguments was checked. Nil accepts and ignores it.
	Decode func(o *Directive) error
}

// Repeated returns o, allowed to occur more than once.
func (o Option) Repeated() Option {
	o.Repeat = true
	return o
}

// WithBody returns o, allowed to have a body.
func (o Option) WithBody() Option {
	o.Nested = true
	return o
}

// Flag is an option without arguments that sets into.
func Flag(name string, into *bool) Option {
	return Func(name, name, 0, 0, func(*Directive) error {
		*into = true
		return nil
	})
}

// String is an option with one argument, which must not be empty.
func String(name, form string, into *string) Option {
	return Func(name, form, 1, 1, func(o *Directive) error {
		if o.Args[0].Text == "" {
			return o.Errorf("the argument is empty; write %q", form)
		}
		*into = o.Args[0].Text
		return nil
	})
}

// Strings is an option with at least min arguments. It may be repeated; all arguments are appended to into.
func Strings(name, form string, min int, into *[]string) Option {
	return Func(name, form, min, -1, func(o *Directive) error {
		for _, arg := range o.Args {
			*into = append(*into, arg.Text)
		}
		return nil
	}).Repeated()
}

// Int is an option with one decimal number from min to max. A max of math.MaxInt means that there is no greatest.
func Int(name, form string, into *int, min, max int) Option {
	return Func(name, form, 1, 1, func(o *Directive) error {
		text := o.Args[0].Text
		n, err := strconv.Atoi(text)
		if err != nil || n < min || n > max {
			return o.Errorf("%q is not a whole number %s", text, intRange(min, max))
		}
		*into = n
		return nil
	})
}

func intRange(min, max int) string {
	if max == math.MaxInt {
		return fmt.Sprintf("of at least %d", min)
	}
	return fmt.Sprintf("from %d to %d", min, max)
}

// Duration is an option with one duration from min to max, in Go's notation ("5s", "1m30s"). A max of 0 means that there is no
// longest one. A bare number is refused, as CoreDNS refuses it everywhere but in its timeouts directive: guessing the unit
// would be wrong for some.
func Duration(name, form string, into *time.Duration, min, max time.Duration) Option {
	return Func(name, form, 1, 1, func(o *Directive) error {
		text := o.Args[0].Text
		d, err := time.ParseDuration(text)
		if err != nil {
			if _, bare := strconv.ParseFloat(text, 64); bare == nil {
				return o.Errorf("%q has no unit; write %ss for seconds", text, text)
			}
			return o.Errorf("%q is not a duration such as 5s or 1m30s", text)
		}
		if d < min || max > 0 && d > max {
			return o.Errorf("%q is out of range; it must be %s", text, durationRange(min, max))
		}
		*into = d
		return nil
	})
}

func durationRange(min, max time.Duration) string {
	if max <= 0 {
		return "at least " + shortDuration(min)
	}
	return "from " + shortDuration(min) + " to " + shortDuration(max)
}

// shortDuration drops the zero units that Duration.String shows: "1h", not "1h0m0s".
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Enum is an option with one argument out of words.
func Enum(name string, into *string, words ...string) Option {
	return Func(name, name+" "+strings.Join(words, "|"), 1, 1, func(o *Directive) error {
		text := o.Args[0].Text
		if slices.Contains(words, text) {
			*into = text
			return nil
		}
		return o.Errorf("%q is none of %s%s", text, strings.Join(words, ", "), didYouMean(text, words))
	})
}

// Func is an option with min to max arguments (any number when max is below 0) that decode reads.
func Func(name, form string, min, max int, decode func(o *Directive) error) Option {
	return Option{Name: name, Form: form, Min: min, Max: max, Decode: decode}
}

// didYouMean returns `; did you mean "WORD"?` when a known word is near, else "".
func didYouMean(word string, known []string) string {
	if near := Nearest(word, known); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}
