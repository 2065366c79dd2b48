package plugin

import (
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

// Zones are the zones that a directive, or an option of one, speaks of.
type Zones []wire.Name

// ParseZones reads zones as a Corefile writes them; with none it is the fallback.
func ParseZones(words []corefile.Token, fallback Zones) (Zones, error) {
	if len(words) == 0 {
		return fallback, nil
	}
	var (
		zones    Zones
		problems corefile.Errors
	)
	for _, word := range words {
		names, err := wire.ParseZones(word.Text)
		if err != nil {
			problems.Join(word.Errorf("%v", err))
			continue
		}
		zones = append(zones, names...)
	}
	return zones, problems.Err()
}

// Match is the longest of the zones that the question's name lies in, and the number of labels left of it.
func (z Zones) Match(q *wire.Query) (zone wire.Name, left int, ok bool) {
	for _, candidate := range z {
		if len(candidate) > len(zone) {
			if n, within := q.Within(candidate); within {
				zone, left, ok = candidate, n, true
			}
		}
	}
	return zone, left, ok
}

// Contains tells whether the question's name lies in one of the zones.
func (z Zones) Contains(q *wire.Query) bool {
	_, _, ok := z.Match(q)
	return ok
}
