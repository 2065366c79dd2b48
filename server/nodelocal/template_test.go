package nodelocal

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFill(t *testing.T) {
	t.Parallel()
	const base = "cluster.local:53 {\n bind __PILLAR__LOCAL__DNS__ __PILLAR__DNS__SERVER__\n forward . __PILLAR__CLUSTER__DNS__ {\n force_tcp\n }\n}\n.:53 {\n forward . __PILLAR__UPSTREAM__SERVERS__\n}\n"
	filled := func(cluster, upstream string) string {
		return "cluster.local:53 {\n bind 169.254.20.10 10.96.0.10 \n forward . " + cluster + " {\n force_tcp\n }\n}\n.:53 {\n forward . " + upstream + "\n}\n"
	}
	for _, test := range []struct {
		name      string
		base      string // the one above unless given
		service   string // value of the environment's variable
		configMap map[string]string
		want      string
		err       string // part of the error
	}{
		{name: "without kube-dns's ConfigMap", service: "10.96.0.11", want: filled("10.96.0.11", "/etc/resolv.conf")},
		{name: "upstreams", service: "10.96.0.11", configMap: map[string]string{"upstreamNameservers": `["192.0.2.1", "192.0.2.2"]`}, want: filled("10.96.0.11", "192.0.2.1 192.0.2.2")},
		{
			name: "stub domains, sorted, behind the rest", service: "10.96.0.11",
			configMap: map[string]string{"stubDomains": `{"b.example": ["192.0.2.3"], "a.example": ["192.0.2.1", "192.0.2.2"]}`},
			want: filled("10.96.0.11", "/etc/resolv.conf") +
				"\na.example:53 {\n    errors\n    cache 30\n    bind 169.254.20.10 10.96.0.10\n    forward . 192.0.2.1 192.0.2.2\n}\n" +
				"\nb.example:53 {\n    errors\n    cache 30\n    bind 169.254.20.10 10.96.0.10\n    forward . 192.0.2.3\n}\n",
		},
		{name: "an empty key", service: "10.96.0.11", configMap: map[string]string{"stubDomains": "\n"}, want: filled("10.96.0.11", "/etc/resolv.conf")},
		{name: "a Corefile that names the cluster's DNS itself", base: ". {\n}\n", want: ". {\n}\n"},
		{name: "no service", err: `stands for the address of service "kube-dns-upstream", but the environment's KUBE_DNS_UPSTREAM_SERVICE_HOST is ""`},
		{name: "a headless service", service: "None", err: `KUBE_DNS_UPSTREAM_SERVICE_HOST is "None"`},
		{name: "no JSON", service: "10.96.0.11", configMap: map[string]string{"stubDomains": "a.example"}, err: "stubDomains: invalid character"},
		{name: "JSON of another kind", service: "10.96.0.11", configMap: map[string]string{"upstreamNameservers": `{"a": 1}`}, err: "JSON is wanted, such as"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if test.base == "" {
				test.base = base
			}
			write(t, filepath.Join(dir, "Corefile.base"), test.base)
			for key, value := range test.configMap {
				write(t, filepath.Join(dir, key), value)
			}
			fill := Template{
				Path: filepath.Join(dir, "Corefile.base"), Port: 53, Upstream: "kube-dns-upstream", KubeDNS: dir,
				Addrs: []netip.Addr{netip.MustParseAddr("169.254.20.10"), netip.MustParseAddr("10.96.0.10")},
				Getenv: func(name string) string {
					if name != "KUBE_DNS_UPSTREAM_SERVICE_HOST" {
						t.Errorf("%s was asked for", name)
					}
					return test.service
				},
			}
			got, err := fill.Fill()
			if string(got) != test.want {
				t.Errorf("got %q\nwant %q", got, test.want)
			}
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want %s", err, test.err)
			}
		})
	}
}

func TestExists(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "Corefile.base")
	template := Template{Path: path}
	if template.Exists() {
		t.Error("a file that is not there exists")
	}
	if _, err := template.Fill(); err == nil {
		t.Error("filled without a file")
	}
	write(t, path, ".")
	if !template.Exists() {
		t.Error("the file does not exist")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
