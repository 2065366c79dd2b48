package manifest

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/cluster/conformance"
)

// TestDemo: the demonstration's manifests hold what their comments say.
func TestDemo(t *testing.T) {
	t.Parallel()
	needs := cluster.Needs{Endpoints: true, Zones: true, Pods: true}
	store, log := follow(t, cluster.Origin{Manifests: []string{"../../cmd/nameplane/demo"}, ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("127.96.0.0/16")}}, needs, 0)
	if st := store.Status(); st.Skipped != 0 || st.Failure != "" {
		t.Fatalf("%s\n%s", st, log)
	}
	for _, test := range []struct {
		namespace string
		addrs     []string
		want      string
	}{
		{
			namespace: "default",
			addrs:     []string{"127.96.191.194", "127.244.1.44"},
			want: `
				endpoint kubernetes 192.168.56.10 https/tcp=6443
				endpoint my-nginx 127.244.1.44 zone zone-a /tcp=8080
				endpoint my-nginx 127.244.2.55 zone zone-b /tcp=8080
				namespace
				pod 127.244.1.44 my-nginx-5b56ccd65f-4xk8p
				reverse 127.244.1.44 my-nginx
				reverse 127.96.191.194 my-nginx
				service kubernetes cluster-ip 127.96.0.1 https/tcp=443
				service my-nginx cluster-ip 127.96.191.194 /tcp=8080`,
		},
		{
			namespace: "kube-system",
			want: `
				endpoint kube-dns 127.244.1.2 zone zone-a dns/udp=53 dns-tcp/tcp=53 metrics/tcp=9153
				endpoint kube-dns 127.244.2.2 zone zone-b dns/udp=53 dns-tcp/tcp=53 metrics/tcp=9153
				namespace
				service kube-dns cluster-ip 127.96.0.10 dns/udp=53 dns-tcp/tcp=53 metrics/tcp=9153`,
		},
		{
			namespace: "prod",
			want: `
				endpoint db 127.244.1.10 name db-0 zone zone-a postgres/tcp=5432
				endpoint db 127.244.2.10 name db-1 zone zone-b postgres/tcp=5432
				endpoint db 127.244.3.10 name db-2 zone zone-c postgres/tcp=5432
				endpoint mainframe 192.0.2.10 ldap/tcp=1389
				endpoint mainframe 192.0.2.11 ldap/tcp=1389
				endpoint resolver 127.244.2.80 zone zone-b dns/udp=5353 dns-tcp/tcp=5353
				endpoint shop 127.244.1.70 zone zone-a https/tcp=8443
				endpoint shop 127.244.3.70 zone zone-c https/tcp=8443
				endpoint shop fd00:10:244:1::46 zone zone-a https/tcp=8443
				endpoint shop fd00:10:244:3::46 zone zone-c https/tcp=8443
				endpoint telemetry 127.244.2.80 zone zone-b http/tcp=8080 metrics/tcp=9090
				namespace
				service db headless postgres/tcp=5432
				service mainframe cluster-ip 127.96.181.99 ldap/tcp=389
				service my-service external-name to my.database.example.com
				service resolver cluster-ip 127.96.130.53 dns/udp=5353 dns-tcp/tcp=5353
				service shop cluster-ip 127.96.120.7 fd00:10:96::78:7 https/tcp=443
				service telemetry cluster-ip 127.96.130.1 http/tcp=80 metrics/tcp=9090`,
		},
		{
			namespace: "staging",
			want: `
				endpoint queue-peers 127.244.3.99 zone zone-c
				namespace
				service empty cluster-ip 127.96.140.1 http/tcp=80
				service queue headless amqp/tcp=5672
				service queue-peers headless`,
		},
		{namespace: "empty-namespace", want: "namespace"},
	} {
		t.Run(test.namespace, func(t *testing.T) {
			want := strings.ReplaceAll(strings.TrimSpace(test.want), "\t", "")
			if diff := cmp.Diff(want, conformance.View(store, test.namespace, test.addrs...)); diff != "" {
				t.Error("(- want, + got)\n", diff)
			}
		})
	}
}
