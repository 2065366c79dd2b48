// Package chaos is the directive that says what server this is, to questions of class CH: its version, its authors, its
// host. The class was another network's once, and serves for such questions since (RFC 4892).
package chaos

import (
	"context"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

// maxText is the length of the longest string in a TXT record (RFC 1035, section 3.3).
const maxText = 255

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "chaos",
		Summary: "answers questions of class CH for version, authors and host",
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	line, err := corefile.Only(lines)
	if err != nil {
		return nil, err
	}
	if err := line.NoBody(); err != nil {
		return nil, err
	}
	env.Listen.AnyClass = true // queries of class CH have to get here
	h := &Handler{version: "Nameplane-" + env.Version, authors: []string{"The Nameplane authors"}, host: host()}
	if len(line.Args) > 0 {
		h.version = line.Args[0].Text
	}
	if len(line.Args) > 1 {
		h.authors = authors(line.Args[1:])
	}
	h.version = trim(h.version)
	return h, nil
}

// authors are the words without repetition.
func authors(words []corefile.Token) (list []string) {
	for _, word := range words {
		if author := trim(word.Text); !slices.Contains(list, author) {
			list = append(list, author)
		}
	}
	return list
}

func host() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return trim(name)
}

func trim(s string) string { return s[:min(len(s), maxText)] }

// Handler answers questions of class CH.
type Handler struct {
	version string
	authors []string
	host    string
}

// Name is "chaos".
func (h *Handler) Name() string { return "chaos" }

// Serve answers TXT questions for the well-known names, and hands on everything else.
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	if x.Query.Class != dns.ClassCHAOS || x.Query.Type != dns.TypeTXT {
		return x.Next(ctx)
	}
	switch string(x.Query.Name()) {
	case "\x07version\x04bind\x00", "\x07version\x06server\x00":
		answer(x, h.version)
	case "\x08hostname\x04bind\x00", "\x02id\x06server\x00": // RFC 4892, section 3
		answer(x, h.host)
	case "\x07authors\x04bind\x00":
		mixed := slices.Clone(h.authors)
		rand.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		answer(x, mixed...)
	default:
		return x.Next(ctx)
	}
	return nil
}

func answer(x *plugin.Exchange, texts ...string) {
	r := &x.Reply
	r.Start(&x.Query, dns.RcodeSuccess)
	for _, text := range texts {
		r.Open(wire.QuestionName, dns.TypeTXT, 0)
		r.Bytes([]byte{byte(len(text))})
		r.Text(text)
		r.Close()
	}
	r.SetClass(dns.ClassCHAOS)
}
