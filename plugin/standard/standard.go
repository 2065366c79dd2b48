// Package standard is the ordered list of directives: the only place that names plugins.
//
// The order is that of the handlers in a chain, whatever the order of lines in a Corefile, and it is CoreDNS's: each
// directive sees what those before it let through, so another order would be another behaviour. A list in code instead
// of registration at start-up: what a binary can do is read here, and two lists cannot drift apart.
package standard

import (
	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/plugin/acl"
	"github.com/nameplane/nameplane/plugin/any"
	"github.com/nameplane/nameplane/plugin/autopath"
	"github.com/nameplane/nameplane/plugin/bind"
	"github.com/nameplane/nameplane/plugin/bufsize"
	"github.com/nameplane/nameplane/plugin/cache"
	"github.com/nameplane/nameplane/plugin/cancel"
	"github.com/nameplane/nameplane/plugin/chaos"
	"github.com/nameplane/nameplane/plugin/debug"
	"github.com/nameplane/nameplane/plugin/dns64"
	"github.com/nameplane/nameplane/plugin/errors"
	"github.com/nameplane/nameplane/plugin/file"
	"github.com/nameplane/nameplane/plugin/forward"
	"github.com/nameplane/nameplane/plugin/header"
	"github.com/nameplane/nameplane/plugin/health"
	"github.com/nameplane/nameplane/plugin/hosts"
	"github.com/nameplane/nameplane/plugin/k8sexternal"
	"github.com/nameplane/nameplane/plugin/kubernetes"
	"github.com/nameplane/nameplane/plugin/loadbalance"
	"github.com/nameplane/nameplane/plugin/local"
	"github.com/nameplane/nameplane/plugin/log"
	"github.com/nameplane/nameplane/plugin/loop"
	"github.com/nameplane/nameplane/plugin/metadata"
	"github.com/nameplane/nameplane/plugin/minimal"
	"github.com/nameplane/nameplane/plugin/multisocket"
	"github.com/nameplane/nameplane/plugin/nsid"
	"github.com/nameplane/nameplane/plugin/pprof"
	"github.com/nameplane/nameplane/plugin/prometheus"
	"github.com/nameplane/nameplane/plugin/ready"
	"github.com/nameplane/nameplane/plugin/reload"
	"github.com/nameplane/nameplane/plugin/rewrite"
	"github.com/nameplane/nameplane/plugin/template"
	"github.com/nameplane/nameplane/plugin/timeouts"
	"github.com/nameplane/nameplane/plugin/tls"
	"github.com/nameplane/nameplane/plugin/trace"
	"github.com/nameplane/nameplane/plugin/transfer"
	"github.com/nameplane/nameplane/plugin/view"
	"github.com/nameplane/nameplane/plugin/vip"
	"github.com/nameplane/nameplane/plugin/whoami"
)

// List is the directives in the order of the chain. Directives that read a cluster share the stores of pool.
func List(pool *cluster.Pool) []plugin.Spec {
	return []plugin.Spec{
		metadata.Spec(),
		cancel.Spec(),
		timeouts.Spec(),
		multisocket.Spec(),
		reload.Spec(),
		nsid.Spec(),
		bufsize.Spec(),
		bind.Spec(),
		debug.Spec(),
		trace.Spec(),
		ready.Spec(),
		health.Spec(),
		pprof.Spec(),
		prometheus.Spec(),
		errors.Spec(),
		log.Spec(),
		local.Spec(),
		dns64.Spec(),
		any.Spec(),
		chaos.Spec(),
		loadbalance.Spec(),
		rewrite.Spec(),
		autopath.Spec(),
		acl.Spec(),
		cache.Spec(),
		header.Spec(),
		tls.Spec(),
		minimal.Spec(),
		template.Spec(),
		transfer.Spec(),
		hosts.Spec(),
		k8sexternal.Spec(),
		kubernetes.Spec(pool),
		file.Spec(),
		loop.Spec(),
		forward.Spec(),
		whoami.Spec(),
		view.Spec(),
		vip.Spec(pool), // the last: it answers nobody
	}
}
