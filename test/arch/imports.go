package arch

import (
	"path"
	"strings"
)

// module is our import path.
const module = "github.com/nameplane/nameplane"

// layer says what the packages of a folder may import, outside of tests.
type layer struct {
	folder  string   // a pattern as of path.Match, or with "/..." for everything below as well
	ours    []string // folders of ours, patterns
	modules []string // prefixes of others' import paths
	without []string // packages of the standard library
	reason  string
}

// layers are looked through from the top; the first that fits a folder counts.
func layers() []layer {
	const (
		dns        = "github.com/miekg/dns"
		prometheus = "github.com/prometheus/client_golang/"
		sys        = "golang.org/x/sys/"
		sync       = "golang.org/x/sync/"
	)
	directive := []string{"plugin", "server/wire", "server/corefile", "cluster", "cluster/origin"}
	return []layer{
		{folder: "server/wire", modules: []string{dns}, without: []string{"net", "os", "net/http", "io"},
			reason: "package wire is bytes to bytes: with I/O or policy in it, it could not be fuzzed against miekg/dns alone"},
		{folder: "server/corefile", modules: []string{"github.com/coredns/caddy/caddyfile"}, without: []string{"net/http"},
			reason: "package corefile knows no plugin: directives declare their options, so that all report errors in one way"},
		{folder: "server/mmsg", modules: []string{sys},
			reason: "package mmsg is the system's calls: it knows nothing of what is in a datagram"},
		{folder: "server/nodelocal", modules: []string{"github.com/vishvananda/netlink", "sigs.k8s.io/knftables"},
			reason: "what is on the node around the server knows nothing of the server"},
		{folder: "server", ours: []string{"server/mmsg", "server/wire", "server/corefile", "plugin"}, modules: []string{dns, prometheus, sys, sync},
			reason: "the server assembles by the contract of package plugin alone: it knows no directive by name, and no cluster"},
		{folder: "cluster",
			reason: "the object model has no source: client-go's types in it would cost every reader memory and bind us to its versions"},
		{folder: "cluster/conformance", ours: []string{"cluster"},
			reason: "the suite for sources sees of a source what the store shows"},
		{folder: "cluster/custom", ours: []string{"cluster"},
			reason: "custom resources are JSON wherever they come from: their shapes are the same for all sources"},
		{folder: "cluster/apiwatch", ours: []string{"cluster", "cluster/custom"}, modules: []string{"k8s.io/"},
			reason: "the one place for client-go: a source fills the store and knows none of its readers"},
		{folder: "cluster/manifest", ours: []string{"cluster", "cluster/custom"},
			modules: []string{"k8s.io/api/", "k8s.io/apimachinery/", "sigs.k8s.io/yaml", "github.com/fsnotify/fsnotify"},
			reason:  "manifests are read without a client of the API server"},
		{folder: "cluster/origin", ours: []string{"cluster", "server/corefile"},
			reason: "the lines that name a cluster are the same in all directives, and no directive imports another"},
		{folder: "plugin", ours: []string{"server/wire", "server/corefile"}, modules: []string{dns, prometheus},
			reason: "the contract between server and directives must not depend on either side"},
		{folder: "plugin/standard", ours: []string{"plugin", "plugin/*", "cluster"},
			reason: "the ordered list of directives is all that is here"},
		{folder: "plugin/vip/nftables", ours: append(directive, "plugin/vip/plan"), modules: []string{sys, "sigs.k8s.io/knftables", "github.com/vishvananda/netlink/nl"},
			reason: "the kernel's rules go through nft, whose transactions knftables writes, and whose stand-in it has for tests"},
		{folder: "plugin/vip/...", ours: append(directive, "plugin/vip/..."), modules: []string{dns, prometheus, sys, sync},
			reason: "the forwarder is a directive: it reads the store, and no other directive"},
		{folder: "plugin/expression", ours: directive, modules: []string{"github.com/expr-lang/expr"},
			reason: "the language of expressions, CoreDNS's, has one place; it is no directive"},
		{folder: "plugin/view", ours: append(directive, "plugin/expression"), modules: []string{dns, prometheus},
			reason: "what expressions mean is decided in plugin/expression"},
		{folder: "plugin/template", ours: append(directive, "plugin/expression"), modules: []string{dns, prometheus},
			reason: "what expressions mean is decided in plugin/expression"},
		{folder: "plugin/prometheus", ours: directive, modules: []string{dns, prometheus, "sigs.k8s.io/yaml"},
			reason: "the file that its option tls names is YAML, as all of Prometheus's are"},
		{folder: "plugin/*", ours: directive, modules: []string{dns, prometheus, sys, sync},
			reason: "a directive never imports another: what they have in common belongs into plugin, wire or corefile"},
		{folder: "cmd/nameplane", ours: []string{"server", "server/corefile", "server/nodelocal", "plugin/standard", "plugin/vip", "plugin/vip/plan", "cluster", "cluster/*"}, modules: []string{prometheus},
			reason: "the command handles flags, files and signals, and has a subcommand for the forwarder alone; what the program does is below"},
		{folder: "test/...", ours: []string{"..."}, modules: []string{""}, reason: "tests may import anything"},
	}
}

// mayImport tells whether a package of a folder may import a path, and else why not.
func mayImport(folder, imported string) (reason string, ok bool) {
	for _, l := range layers() {
		if matches(l.folder, folder) {
			return l.reason, l.allows(imported)
		}
	}
	return "no rule speaks of this folder: the layout is fixed (see layers)", false
}

func (l layer) allows(imported string) bool {
	if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
		for _, pattern := range l.ours {
			if matches(pattern, ours) {
				return true
			}
		}
		return false
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		for _, denied := range l.without {
			if imported == denied {
				return false
			}
		}
		return true
	}
	for _, prefix := range l.modules {
		if strings.HasPrefix(imported, prefix) {
			return true
		}
	}
	return false
}

// matches is path.Match, and "/..." at the end for the folder and all below it.
func matches(pattern, folder string) bool {
	if pattern == "..." {
		return true
	}
	if top, below := strings.CutSuffix(pattern, "/..."); below {
		return folder == top || strings.HasPrefix(folder, top+"/")
	}
	ok, err := path.Match(pattern, folder)
	return err == nil && ok
}
