package server

import (
	"fmt"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

// keeper is a directive's plugin.Keeper. What an instance keeps is listed by the text that it follows from; the next
// instance takes over what it finds under the same text, and the rest is forgotten with the old one.
type keeper struct {
	before map[string]any // of the instance that answers
	kept   map[string]any // of the one that is built
	text   string
}

// Keep implements plugin.Keeper.
func (k keeper) Keep(key string, make func() any) any {
	key = fmt.Sprintf("%q of %s", key, k.text)
	if v, ok := k.kept[key]; ok {
		return v
	}
	v, ok := k.before[key]
	if !ok {
		v = make()
	}
	k.kept[key] = v
	return v
}

// keeper is that of the directive specs[0]; behind it come the others that may stand in the rest of a chain.
func (b *builder) keeper(env *plugin.Env, specs []plugin.Spec, text *corefile.Block) keeper {
	s := fmt.Appendf(nil, "%q %q ", env.Servers, env.Zones)
	for _, spec := range specs {
		for _, line := range linesOf(text, spec.Name) {
			s = line.Append(s)
		}
	}
	return keeper{before: b.before, kept: b.made.kept, text: string(s)}
}
