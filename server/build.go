package server

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

// builder makes an instance of a Corefile. It opens nothing.
type builder struct {
	options  *Options
	file     *corefile.File
	before   map[string]any // what the instance that answers keeps
	made     *instance
	problems corefile.Errors
}

// build returns the instance of a file, or everything that is wrong with the file. It takes over what another instance
// kept.
func build(file *corefile.File, o *Options, m *meters, kept map[string]any) (*instance, error) {
	b := &builder{options: o, file: file, before: kept, made: &instance{kept: map[string]any{}, sum: file.Sum()}}
	if len(file.Blocks) == 0 {
		return nil, &corefile.Error{Pos: corefile.Position{File: file.Name, Line: 1},
			Problem: `no server block; write at least ".:53 { ... }"`}
	}
	for _, text := range file.Blocks {
		b.block(text)
	}
	checkSites(b.made.sites, &b.problems)
	checkTLS(b.made.sites, &b.problems)
	if err := b.problems.Err(); err != nil {
		return nil, errors.Join(err, b.made.close()) // a handler may share something since it was built
	}
	b.made.makeTables(o.Shards, m, o)
	return b.made, nil
}

func (b *builder) block(text *corefile.Block) {
	made := &block{}
	for _, k := range text.Keys {
		keys, err := parseKey(k, b.options.Port)
		b.problems.Join(err)
		made.keys = append(made.keys, keys...)
	}
	b.unknown(text)
	env := b.env(made)
	for i, spec := range b.options.Specs {
		lines := linesOf(text, spec.Name)
		if len(lines) == 0 {
			continue
		}
		env.Keeper = b.keeper(env, b.options.Specs[i:], text)
		h, err := b.directive(env, spec, lines)
		b.problems.Join(err)
		if err == nil && h != nil {
			made.chain = append(made.chain, h)
			b.made.parts = append(b.made.parts, part{handler: h, at: lines[0].Pos})
		}
		env.Servers = servers(made)
	}
	b.made.sites = append(b.made.sites, sites(made)...)
}

// directive builds one directive of a block. It gets an Env of its own, whose log and web speak in its name; what else
// it changes there holds for the directives after it.
func (b *builder) directive(env *plugin.Env, spec plugin.Spec, lines []*corefile.Directive) (plugin.Handler, error) {
	own := *env
	own.Log = b.options.Log
	if !spec.Plain {
		own.Log = own.Log.WithGroup("plugin/" + spec.Name)
	}
	own.Web = pager{made: b.made, directive: spec.Name}
	h, err := spec.Build(&own, lines)
	*env = own
	return h, err
}

func (b *builder) env(made *block) *plugin.Env {
	zones := make([]wire.Name, len(made.keys))
	for i, k := range made.keys {
		zones[i] = k.zone
	}
	return &plugin.Env{
		Zones: zones, Servers: servers(made), Dir: filepath.Dir(b.file.Name), File: b.file,
		Shards: b.options.Shards, Version: b.options.Version, Metrics: b.options.Metrics,
		Listen: &made.listen, Reload: &b.made.reload, Instance: b.made, Now: b.options.Now,
	}
}

// unknown reports directives that there are not.
func (b *builder) unknown(text *corefile.Block) {
	names := make([]string, len(b.options.Specs))
	known := map[string]bool{}
	for i, spec := range b.options.Specs {
		names[i], known[spec.Name] = spec.Name, true
	}
	for _, d := range text.Directives {
		if known[d.Name] {
			continue
		}
		hint := ""
		if near := corefile.Nearest(d.Name, names); near != "" {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		b.problems.Add(d.Pos, "unknown directive %q%s", d.Name, hint)
	}
}

func linesOf(text *corefile.Block, name string) []*corefile.Directive {
	var lines []*corefile.Directive
	for _, d := range text.Directives {
		if d.Name == name {
			lines = append(lines, d)
		}
	}
	return lines
}

// sites are the block's keys on each of its addresses.
func sites(made *block) []*site {
	hosts := made.listen.Hosts
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	var list []*site
	for _, k := range made.keys {
		for _, host := range hosts {
			if addr, err := netip.ParseAddr(host); err == nil {
				host = addr.String() // one spelling, in metrics and for the search of duplicates
			}
			list = append(list, &site{zone: k.zone, address: address{host, k.port, k.tls}, block: made, at: k.at})
		}
	}
	return list
}

// servers are the names of the block's listeners.
func servers(made *block) []string {
	var names []string
	seen := map[address]bool{}
	for _, s := range sites(made) {
		if !seen[s.address] {
			seen[s.address] = true
			names = append(names, s.address.String())
		}
	}
	return names
}
