// Package bufsize is the directive that bounds the UDP size which queries announce, so that replies, ours and those of
// upstreams, are not fragmented on the way. It clamps the query itself: whatever is behind it in the chain, and whoever is
// asked in turn, sees the bounded size, and so does the client in the reply's OPT record.
package bufsize

import (
	"context"
	"strconv"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

const (
	form = "bufsize [SIZE]"
	// defaultSize is what passes every common link in one piece (DNS flag day 2020).
	defaultSize = 1232
	minSize     = 512 // RFC 6891, section 6.2.3
	maxSize     = 4096
)

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "bufsize",
		Summary: "bounds the UDP size that queries announce",
		Build:   build,
	}
}

func build(_ *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	line, err := corefile.Only(lines)
	if err != nil {
		return nil, err
	}
	var problems corefile.Errors
	problems.Join(line.WantArgs(0, 1, form))
	problems.Join(line.NoBody())
	size := defaultSize
	if len(line.Args) == 1 {
		if size, err = strconv.Atoi(line.Args[0].Text); err != nil || size < minSize || size > maxSize {
			problems.Join(line.Errorf("%q is not a size in bytes from %d to %d", line.Args[0].Text, minSize, maxSize))
		}
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return Handler{size: uint16(size)}, nil
}

// Handler clamps the size in queries.
type Handler struct{ size uint16 }

// Name is "bufsize".
func (Handler) Name() string { return "bufsize" }

// Serve hands on the query with a size of at most the bound.
func (h Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	if x.Query.EDNS.Present && x.Query.EDNS.Size > h.size {
		x.Query.SetSize(h.size)
	}
	return x.Next(ctx)
}
