package plan

import (
	"fmt"
	"strings"
)

// String is the explanation for people: the verdict first, then what it depends on, then every endpoint with its share and
// its reason.
func (x Explanation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v from %s: %s\n", x.Key, x.client(), x.outcome())
	rows := x.facts()
	for _, note := range x.Notes {
		rows = append(rows, []string{"  note", note})
	}
	if len(rows) > 0 {
		b.WriteByte('\n')
		align(&b, rows)
	}
	if len(x.Endpoints) > 0 {
		b.WriteByte('\n')
		align(&b, x.table())
	}
	return b.String()
}

func (x Explanation) client() string {
	if !x.Client.IsValid() {
		return "any pod"
	}
	return fmt.Sprintf("%v (%v)", x.Client, x.From)
}

func (x Explanation) outcome() string {
	switch {
	case !x.Ours:
		return "not forwarded"
	case x.Verdict != Forward:
		return x.Verdict.String()
	}
	return "forward to " + x.used()
}

// used is "2 of 5 endpoints".
func (x Explanation) used() string {
	used := 0
	for _, e := range x.Endpoints {
		if e.Fate.used() {
			used++
		}
	}
	if used == len(x.Endpoints) {
		return count(used, "endpoint")
	}
	return fmt.Sprintf("%d of %s", used, count(len(x.Endpoints), "endpoint"))
}

// facts are what the outcome depends on, a line each.
func (x Explanation) facts() (rows [][]string) {
	add := func(name, value string) { rows = append(rows, []string{"  " + name, value}) }
	if f := x.Frontend; f != nil {
		service := x.Service + ", " + f.Kind.String()
		if f.Port != "" {
			service += ", port " + f.Port
		}
		add("service", service)
	}
	if x.Why != "" {
		add("why", x.Why)
	}
	if x.Frontend == nil || x.Verdict != Forward {
		return rows
	}
	switch {
	case x.Masquerade:
		add("source", "masqueraded: the endpoint sees this node's address")
	case x.Hairpin:
		add("source", "kept; masqueraded only when the client is led to itself")
	default:
		add("source", "kept")
	}
	if len(x.Frontend.Sources) > 0 {
		add("let in", "only clients in "+spell(x.Frontend.Sources))
	}
	if x.Frontend.Affinity > 0 {
		add("affinity", fmt.Sprintf("the first choice is kept until %s pass without a new connection", short(x.Frontend.Affinity)))
	}
	return rows
}

func (x Explanation) table() [][]string {
	rows := [][]string{{"SHARE", "ENDPOINT", "NODE", "ZONE", "WHY"}}
	for _, e := range x.Endpoints {
		share, at := "-", e.At.String()
		if e.Share > 0 {
			share = fmt.Sprintf("%.1f%%", 100*e.Share)
		}
		if e.At.Port() == 0 {
			at = e.At.Addr().String()
		}
		rows = append(rows, []string{share, at, orDash(e.Node), orDash(e.Zone), e.Fate.String()})
	}
	return rows
}
