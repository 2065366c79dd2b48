// Package nsid is the directive that says which server of many answered, to clients that ask for it (RFC 5001).
package nsid

import (
	"context"
	"os"
	"strings"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

// maxData is more than a name server identifier needs, and leaves a reply room for records.
const maxData = 255

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "nsid",
		Summary: "tells clients that ask which server answered",
		Build:   build,
	}
}

func build(_ *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	line, err := corefile.Only(lines)
	if err != nil {
		return nil, err
	}
	var problems corefile.Errors
	problems.Join(line.NoBody())
	data := identifier(line)
	if len(data) > maxData {
		problems.Join(line.Errorf("the identifier has %d bytes; %d are allowed", len(data), maxData))
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return Handler{data: []byte(data)}, nil
}

// identifier is what the operator says, or else the host's name.
func identifier(line *corefile.Directive) string {
	if len(line.Args) > 0 {
		words := make([]string, len(line.Args))
		for i, arg := range line.Args {
			words[i] = arg.Text
		}
		return strings.Join(words, " ")
	}
	host, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return host
}

// Handler adds the identifier to replies.
type Handler struct{ data []byte }

// Name is "nsid".
func (Handler) Name() string { return "nsid" }

// Serve adds the identifier to the reply if the query asks for one (RFC 5001, section 2.2), in the place of an upstream's.
func (h Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	_, wanted := x.Query.EDNS.Option(dns.EDNS0NSID)
	if err := x.Next(ctx); err != nil {
		return err
	}
	if wanted && x.Reply.Made() {
		x.Reply.SetOption(dns.EDNS0NSID, h.data)
	}
	return nil
}
