package nodelocal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Template is a Corefile with gaps.
type Template struct {
	Path     string       // of the file
	Addrs    []netip.Addr // that the server listens on
	Port     uint16
	Upstream string              // name of the Service that leads to the cluster's DNS
	KubeDNS  string              // folder of kube-dns's ConfigMap; none where it does not exist
	Getenv   func(string) string // the environment, in which Kubernetes tells services' addresses
}

// The gaps, by the names that cluster/addons/dns/nodelocaldns in Kubernetes gives them.
const (
	gapUpstream  = "__PILLAR__UPSTREAM__SERVERS__" // for names outside of the cluster
	gapCluster   = "__PILLAR__CLUSTER__DNS__"      // for names of the cluster
	gapAddresses = "__PILLAR__LOCAL__DNS__"        // of this server
	gapService   = "__PILLAR__DNS__SERVER__"       // part of the addresses by now
)

// resolvConf is where names outside of the cluster are asked, unless kube-dns's ConfigMap says otherwise.
const resolvConf = "/etc/resolv.conf"

// Exists tells whether there is a template.
func (t *Template) Exists() bool {
	_, err := os.Stat(t.Path)
	return err == nil
}

// Fill is the Corefile: the template with its gaps filled, and behind it a server block for each stub domain, so that lines
// keep their numbers. An error names the file, the value and what would be right.
func (t *Template) Fill() ([]byte, error) {
	base, err := os.ReadFile(t.Path)
	if err != nil {
		return nil, err
	}
	upstreams, err := readJSON[[]string](filepath.Join(t.KubeDNS, "upstreamNameservers"))
	if err != nil {
		return nil, err
	}
	stubs, err := readJSON[map[string][]string](filepath.Join(t.KubeDNS, "stubDomains"))
	if err != nil {
		return nil, err
	}
	if len(upstreams) == 0 {
		upstreams = []string{resolvConf}
	}
	cluster := t.Getenv(t.variable())
	if _, err := netip.ParseAddr(cluster); err != nil && strings.Contains(string(base), gapCluster) {
		return nil, fmt.Errorf("%s: %s stands for the address of service %q, but the environment's %s is %q: make that service in this namespace, and then this pod anew",
			t.Path, gapCluster, t.Upstream, t.variable(), cluster)
	}
	addrs := t.addresses()
	text := strings.NewReplacer(gapUpstream, strings.Join(upstreams, " "), gapCluster, cluster, gapAddresses, addrs, gapService, "").Replace(string(base))
	for _, domain := range slices.Sorted(maps.Keys(stubs)) {
		text += fmt.Sprintf("\n%s:%d {\n    errors\n    cache 30\n    bind %s\n    forward . %s\n}\n", domain, t.Port, addrs, strings.Join(stubs[domain], " "))
	}
	return []byte(text), nil
}

func (t *Template) addresses() string {
	texts := make([]string, len(t.Addrs))
	for i, a := range t.Addrs {
		texts[i] = a.String()
	}
	return strings.Join(texts, " ")
}

// variable is the one by which Kubernetes tells containers the address of a Service of their namespace.
func (t *Template) variable() string {
	return strings.ToUpper(strings.ReplaceAll(t.Upstream, "-", "_")) + "_SERVICE_HOST"
}

// readJSON reads a key of a ConfigMap that is mounted; the zero value where there is none.
func readJSON[T any](path string) (value T, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(strings.TrimSpace(string(text))) == 0 {
		return value, nil
	}
	if err != nil {
		return value, err
	}
	if err := json.Unmarshal(text, &value); err != nil {
		return value, fmt.Errorf("%s: %w; JSON is wanted, such as [\"192.0.2.53\"] for upstreamNameservers or {\"example.org\": [\"192.0.2.53\"]} for stubDomains", path, err)
	}
	return value, nil
}
