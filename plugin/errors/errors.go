// Package errors is the directive that prints why queries were answered by SERVFAIL. It stands in front of the chain, where
// every error passes on its way to the server, and costs nothing as long as there is none.
package errors

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "errors",
		Summary: "prints why queries could not be answered",
		Plain:   true,
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	line, err := corefile.Only(lines)
	if err != nil {
		return nil, err
	}
	var (
		problems corefile.Errors
		h        = &Handler{log: env.Log}
	)
	problems.Join(line.WantArgs(0, 1, "errors [stdout]"))
	if len(line.Args) == 1 && line.Args[0].Text != "stdout" {
		problems.Join(line.Errorf("%q is no place to print to; the only one is stdout", line.Args[0].Text))
	}
	problems.Join(line.Decode(
		corefile.Flag("stacktrace", &env.Listen.Stacktrace),
		corefile.Func("consolidate", consolidateForm, 2, 4, func(o *corefile.Directive) error {
			c, err := newConsolidation(o, env.Log)
			if err == nil {
				h.consolidations = append(h.consolidations, c)
			}
			return err
		}).Repeated(),
	))
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return h, nil
}

// Handler prints the errors that come back from the rest of the chain.
type Handler struct {
	log            *slog.Logger
	consolidations []*consolidation
}

// Name is "errors".
func (h *Handler) Name() string { return "errors" }

// Serve returns what the rest of the chain returns: the reply to an error is the server's affair.
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	err := x.Next(ctx)
	if err != nil {
		h.report(ctx, x, err)
	}
	return err
}

// report prints an error, unless a consolidation counts it instead: the first one whose pattern fits.
func (h *Handler) report(ctx context.Context, x *plugin.Exchange, err error) {
	level, text := slog.LevelError, err.Error()
	for _, c := range h.consolidations {
		if !c.pattern.MatchString(text) {
			continue
		}
		if c.count() {
			return
		}
		level = c.level
		break
	}
	h.log.Log(ctx, level, fmt.Sprintf("plugin/errors: %d %s %s: %s",
		dns.RcodeServerFailure, strings.ToLower(x.Query.NameString()), x.Query.TypeString(), text))
}

// Close prints what was counted and not printed yet.
func (h *Handler) Close() error {
	for _, c := range h.consolidations {
		c.close()
	}
	return nil
}
