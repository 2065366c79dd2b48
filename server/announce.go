package server

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/nameplane/nameplane/server/wire"
)

// preferred is the syntax of names that RFC 1035, section 2.3.1, recommends.
var preferred = regexp.MustCompile(`^(([A-Za-z]([A-Za-z0-9-]*[A-Za-z0-9])?)\.)+$`)

// announce writes CoreDNS's line for each zone on each address: ".:53", or ".:53 on 10.96.0.10".
func announce(out io.Writer, made *instance) {
	sites := slices.Clone(made.sites)
	slices.SortStableFunc(sites, func(a, b *site) int {
		if c := strings.Compare(a.address.String(), b.address.String()); c != 0 {
			return c
		}
		return strings.Compare(a.zone.String(), b.zone.String())
	})
	for i, s := range sites {
		if i > 0 && s.zone == sites[i-1].zone && s.address == sites[i-1].address { // another view of it
			continue
		}
		zone := s.zone.String()
		if s.zone != wire.Root && !s.zone.IsReverse() && !preferred.MatchString(zone) {
			fmt.Fprintf(out, "Warning: Domain %q does not follow RFC1035 preferred syntax\n", zone)
		}
		line := fmt.Sprintf("%s:%d", zone, s.address.port)
		if s.address.tls {
			line = s.address.scheme() + line
		}
		if s.address.host != "" {
			line += " on " + s.address.host
		}
		fmt.Fprintln(out, line)
	}
}
