// Package whoami is the directive that tells clients their own address, port and transport. It needs no data, so it is
// what a server answers with before it has a Corefile.
package whoami

import (
	"context"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "whoami",
		Summary: "tells clients their address, port and transport",
		Build:   build,
	}
}

func build(_ *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	var problems corefile.Errors
	for _, line := range lines {
		problems.Join(line.WantArgs(0, 0, "whoami"))
		problems.Join(line.NoBody())
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return Handler{}, nil
}

// Handler answers every question, of whatever name and type.
type Handler struct{}

// Name is "whoami".
func (Handler) Name() string { return "whoami" }

// Serve answers with an empty answer section. The additional section holds the client's address, and its port in an SRV
// record (RFC 2782) below the question's name, unless that leaves no room for another label.
func (Handler) Serve(_ context.Context, x *plugin.Exchange) error {
	r := &x.Reply
	r.Start(&x.Query, dns.RcodeSuccess)
	r.SetAuthoritative(true)
	r.Section(wire.Additional)
	if addr := x.Client.Addr(); addr.Is4() {
		four := addr.As4()
		r.Address(wire.QuestionName, four[:], 0)
	} else {
		sixteen := addr.As16()
		r.Address(wire.QuestionName, sixteen[:], 0)
	}
	label := "_udp"
	if x.Transport == plugin.TCP {
		label = "_tcp"
	}
	if len(x.Query.Name())+1+len(label) <= wire.MaxName {
		r.OpenBelow(label, wire.QuestionName, dns.TypeSRV, 0)
		r.Uint16(0) // priority
		r.Uint16(0) // weight
		r.Uint16(x.Client.Port())
		r.Text(string(wire.Root))
		r.Close()
	}
	r.SetClass(x.Query.Class)
	return nil
}
