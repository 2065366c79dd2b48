package file

import (
	"path/filepath"
	"time"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

const (
	form = "file DBFILE [ZONES...]"

	// defaultReload is how often a file is looked at, as in CoreDNS.
	defaultReload = time.Minute
)

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "file",
		Summary: "serves zones from master files",
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	h := &Handler{env: env, log: env.Log, sources: map[wire.Name]*source{}}
	var problems corefile.Errors
	for _, line := range lines {
		problems.Join(h.read(line))
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return h, nil
}

// read takes one line. Where several lines let questions fall through, the last one says which.
func (h *Handler) read(line *corefile.Directive) error {
	var problems corefile.Errors
	like := source{reload: defaultReload, log: h.log}
	problems.Join(line.Decode(
		corefile.Duration("reload", "reload DURATION", &like.reload, 0, 0),
		corefile.Flag("reload_by_mtime", &like.byMtime),
		corefile.Func("fallthrough", "fallthrough [ZONE...]", 0, -1, func(o *corefile.Directive) error {
			zones, err := plugin.ParseZones(o.Args, plugin.Zones{wire.Root})
			h.fall = zones
			return err
		}),
		corefile.Func("upstream", "upstream", 0, -1, nil), // of old Corefiles: nothing to say any more
	))
	if err := line.WantArgs(1, -1, form); err != nil {
		problems.Join(err)
		return problems.Err()
	}
	path := line.Args[0].Text
	if path == "" {
		problems.Join(line.Errorf("the name of the file is empty; write %q", form))
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(h.env.Dir, path)
	}
	zones, err := plugin.ParseZones(line.Args[1:], h.env.Zones)
	problems.Join(err)
	for _, origin := range zones {
		if h.sources[origin] != nil {
			problems.Join(line.Errorf("zone %s is read from another file already", origin))
			continue
		}
		h.sources[origin] = &source{origin: origin, path: path, reload: like.reload, byMtime: like.byMtime, log: h.log}
		h.zones = append(h.zones, origin)
	}
	return problems.Err()
}
