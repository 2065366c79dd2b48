// Package log is the directive that prints queries and what became of them. Formats are compiled when the Corefile is read,
// so that a query costs one pass over a buffer and one line.
package log

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "log",
		Summary: "prints queries and what became of them",
		Plain:   true,
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	var (
		problems corefile.Errors
		h        = &Handler{out: env.Log.Handler(), now: env.Now}
	)
	for _, line := range lines {
		rules, err := readRules(line)
		problems.Join(err)
		h.rules = append(h.rules, rules...)
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return h, nil
}

// rule says how queries below a zone are printed. Of several rules the first one that fits decides.
type rule struct {
	zone    wire.Name
	format  format
	classes classes
}

func readRules(line *corefile.Directive) ([]rule, error) {
	var (
		problems corefile.Errors
		words    = line.Args
		text     = commonFormat
		wanted   classes
	)
	if n := len(words); n > 0 && strings.Contains(words[n-1].Text, "{") {
		words, text = words[:n-1], words[n-1].Text
	}
	zones, err := plugin.ParseZones(words, plugin.Zones{wire.Root})
	problems.Join(err)
	problems.Join(line.Decode(corefile.Func("class", "class success|denial|error|all...", 1, -1, func(o *corefile.Directive) error {
		for _, arg := range o.Args {
			class, ok := classByName(arg.Text)
			if !ok {
				return o.Errorf("%q is none of all, success, denial, error", arg.Text)
			}
			wanted |= class
		}
		return nil
	}).Repeated()))
	if wanted == 0 {
		wanted = allClasses
	}
	var rules []rule
	for _, zone := range zones {
		rules = append(rules, rule{zone: zone, format: parseFormat(text), classes: wanted})
	}
	return rules, problems.Err()
}

// Handler prints the queries that fit its rules.
type Handler struct {
	out   slog.Handler
	now   func() time.Time
	rules []rule
	lines sync.Pool // of *[]byte
}

// Name is "log".
func (h *Handler) Name() string { return "log" }

// Serve prints after the rest of the chain is through.
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	rule := h.match(&x.Query)
	err := x.Next(ctx)
	if rule == nil {
		return err
	}
	if err != nil {
		x.Reply.Start(&x.Query, dns.RcodeServerFailure) // what the server will make of it
		defer x.Reply.Reset()
	}
	now := h.now()
	if rule.classes != allClasses && rule.classes&classify(x, now).class() == 0 {
		return err
	}
	h.print(ctx, rule.format, x, now)
	return err
}

func (h *Handler) match(q *wire.Query) *rule {
	for i := range h.rules {
		if _, within := q.Within(h.rules[i].zone); within {
			return &h.rules[i]
		}
	}
	return nil
}

// print hands the line to slog's handler without slog.Logger's search for the line of code that calls it, which would
// cost more than all the rest.
func (h *Handler) print(ctx context.Context, f format, x *plugin.Exchange, now time.Time) {
	if !h.out.Enabled(ctx, slog.LevelInfo) {
		return
	}
	line, ok := h.lines.Get().(*[]byte)
	if !ok {
		line = new([]byte)
	}
	*line = f.append((*line)[:0], x, now)
	// A log that cannot be written has no place to say so.
	_ = h.out.Handle(ctx, slog.NewRecord(now, slog.LevelInfo, string(*line), 0))
	h.lines.Put(line)
}
