package vip

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestRivals(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		printed map[string]string // by command; others fail
		want    string            // in the error
	}{
		{name: "no program at all"},
		{name: "only ours", printed: map[string]string{"nft list tables": "table ip nameplane\ntable ip6 nameplane\n", "iptables-save -t nat": "*nat\n:PREROUTING ACCEPT [0:0]\n"}},
		{name: "nftables", printed: map[string]string{"nft list tables": "table ip kube-proxy\ntable ip nameplane\n"}, want: "the table kube-proxy in nftables"},
		{name: "a table that is called alike", printed: map[string]string{"nft list tables": "table ip kube-proxy-test\n"}},
		{name: "iptables that writes to nftables", printed: map[string]string{"nft list chains": "table ip nat {\n\tchain KUBE-SERVICES {\n\t}\n}\n"}, want: "the chain KUBE-SERVICES of iptables in nftables"},
		{name: "iptables", printed: map[string]string{"nft list tables": "table ip nat\n", "iptables-save -t nat": "*nat\n:KUBE-SERVICES - [0:0]\n"}, want: "the chain KUBE-SERVICES in iptables"},
		{name: "legacy ip6tables", printed: map[string]string{"ip6tables-legacy-save -t nat": ":KUBE-SERVICES - [0:0]\n"}, want: "the chain KUBE-SERVICES in legacy ip6tables"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := rivals(t.Context(), func(_ context.Context, name string, args ...string) (string, error) {
				if printed, ok := test.printed[name+" "+strings.Join(args, " ")]; ok {
					return printed, nil
				}
				return "", errors.New("not found")
			})
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want+": with ") {
				t.Errorf("error is\n%v\nwant %q", err, test.want)
			}
		})
	}
}
