package plan

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Table is a plan for people: a line for each frontend, and below them what is not served. The services are State.All's.
func Table(all []*Service) string {
	rows := [][]string{{"SERVICE", "PORT", "KIND", "ADDRESS", "INSIDE", "OUTSIDE", "OPTIONS"}}
	var refused [][]string
	for _, s := range all {
		name := s.Namespace + "/" + s.Name
		for i := range s.Frontends {
			f := &s.Frontends[i]
			outside := f.Outside.String()
			if f.Kind == ClusterIP {
				outside = "-"
			}
			rows = append(rows, []string{name, orDash(f.Port), f.Kind.String(), f.Key.String(), f.Inside.String(), outside, f.options()})
		}
		if h := s.Health; h != nil {
			rows = append(rows, []string{name, "-", "HealthCheck", fmt.Sprintf("port %d", h.Port), "-", "-", fmt.Sprintf("%d local", h.Local)})
		}
		for _, r := range s.Refused {
			refused = append(refused, []string{"  " + name, r.String()})
		}
	}
	var b strings.Builder
	if len(rows) > 1 {
		align(&b, rows)
	} else {
		b.WriteString("No service is forwarded.\n")
	}
	if len(refused) > 0 {
		b.WriteString("\nNot served:\n")
		align(&b, refused)
	}
	return b.String()
}

// String is the verdict, or the number of backends.
func (t Target) String() string {
	if t.Verdict != Forward {
		return t.Verdict.String()
	}
	return count(len(t.Backends), "backend")
}

func (f *Frontend) options() string {
	var list []string
	if f.Affinity > 0 {
		list = append(list, "affinity "+short(f.Affinity))
	}
	if !f.Masquerade {
		list = append(list, "source kept")
	}
	if len(f.Sources) > 0 {
		list = append(list, "only from "+spell(f.Sources))
	}
	return strings.Join(list, ", ")
}

// short is a duration without the zeros that time.Duration prints: 3h rather than 3h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// align writes rows with their columns under each other, and no blanks at the end of a line.
func align(b *strings.Builder, rows [][]string) {
	var width []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		gap := 0
		for i, cell := range row {
			if cell != "" {
				b.WriteString(strings.Repeat(" ", gap))
				b.WriteString(cell)
				gap = 0
			}
			gap += width[i] - utf8.RuneCountInString(cell) + 2
		}
		b.WriteByte('\n')
	}
}
