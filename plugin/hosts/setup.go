package hosts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

const (
	defaultPath   = "/etc/hosts"
	defaultTTL    = 3600 // seconds
	longestTTL    = 65535
	defaultReload = 5 * time.Second
)

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "hosts",
		Summary: "answers from a file in the form of /etc/hosts",
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	line, err := corefile.Only(lines)
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(env.Metrics)
	if err != nil {
		return nil, line.Errorf("cannot register metrics: %v", err)
	}
	h := &Handler{ttl: defaultTTL, reload: defaultReload, reverse: true, log: env.Log}
	h.file.Store(newTable())
	var problems corefile.Errors
	problems.Join(h.decodeArgs(env, line))
	inline, err := h.decodeBody(line)
	problems.Join(err)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	label := defaultPath
	if len(line.Args) > 0 {
		label = line.Args[0].Text
	}
	h.metrics = m.of(label)
	h.inline = h.parseInline(inline)
	return h, nil
}

// decodeArgs reads FILE and ZONES. A file that is not there may come later.
func (h *Handler) decodeArgs(env *plugin.Env, line *corefile.Directive) (err error) {
	h.path, h.zones = defaultPath, env.Zones
	if len(line.Args) == 0 {
		return nil
	}
	var problems corefile.Errors
	h.path = line.Args[0].Text
	if !filepath.IsAbs(h.path) {
		h.path = filepath.Join(env.Dir, h.path)
	}
	switch info, err := os.Stat(h.path); {
	case errors.Is(err, fs.ErrNotExist):
		env.Log.Warn(fmt.Sprintf("%s: there is no file %s yet; it is read once there is", line.Pos, h.path))
	case err != nil:
		problems.Join(line.Errorf("cannot look at the file %q: %v", h.path, err))
	case info.IsDir():
		env.Log.Warn(fmt.Sprintf("%s: %s is a folder; a file is wanted", line.Pos, h.path))
	}
	h.zones, err = plugin.ParseZones(line.Args[1:], env.Zones)
	problems.Join(err)
	return problems.Err()
}

// decodeBody reads options and returns the lines that are entries: every line before "fallthrough" that is no option.
func (h *Handler) decodeBody(line *corefile.Directive) (inline []*corefile.Directive, err error) {
	var noReverse bool
	ttl := int(h.ttl)
	options := []corefile.Option{
		corefile.Int("ttl", "ttl SECONDS", &ttl, 1, longestTTL).Repeated(),
		corefile.Duration("reload", "reload DURATION", &h.reload, 0, 0).Repeated(),
		corefile.Flag("no_reverse", &noReverse).Repeated(),
		corefile.Flag("fallthrough_unsupported", &h.unsupported).Repeated(),
		corefile.Func("fallthrough", "fallthrough [ZONE...]", 0, -1, func(o *corefile.Directive) (err error) {
			h.fall, err = plugin.ParseZones(o.Args, plugin.Zones{wire.Root})
			return err
		}).Repeated(),
	}
	var (
		problems corefile.Errors
		set      = *line
		after    bool // fallthrough
	)
	set.Body = nil
	for _, entry := range line.Body {
		_, address := parseAddress(entry.Name)
		switch {
		case isOption(options, entry.Name):
			set.Body = append(set.Body, entry)
			after = after || entry.Name == "fallthrough"
		case after && address:
			problems.Join(entry.Errorf("entries have to stand before fallthrough"))
		case after:
			set.Body = append(set.Body, entry)
		default:
			problems.Join(entry.NoBody())
			inline = append(inline, entry)
		}
	}
	problems.Join(set.Decode(options...))
	if h.unsupported && h.fall == nil {
		problems.Join(line.Errorf("fallthrough_unsupported has no effect without fallthrough; add that, or leave this out"))
	}
	h.ttl, h.reverse = uint32(ttl), !noReverse
	return inline, problems.Err()
}

func isOption(options []corefile.Option, name string) bool {
	for _, o := range options {
		if o.Name == name {
			return true
		}
	}
	return false
}

// parseInline reads entries of the Corefile. As in CoreDNS, one without an address is left out; it is likely to be a
// mistake, so it is logged.
func (h *Handler) parseInline(entries []*corefile.Directive) *table {
	var text strings.Builder
	var at []corefile.Position
	for _, entry := range entries {
		words := []string{entry.Name}
		for _, arg := range entry.Args {
			words = append(words, arg.Text)
		}
		line := strings.Join(words, " ")
		for range 1 + strings.Count(line, "\n") { // a quoted word may hold a line break
			at = append(at, entry.Pos)
		}
		text.WriteString(line + "\n")
	}
	// A strings.Reader has no error but io.EOF.
	entriesRead, _ := parse(strings.NewReader(text.String()), h.zones, h.reverse, func(line int, problem string) {
		h.log.Warn(fmt.Sprintf("%s: %s", at[line-1], problem))
	})
	return entriesRead
}
