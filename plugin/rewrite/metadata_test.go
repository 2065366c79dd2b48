package rewrite

import (
	"context"
	"io"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

func TestMetadata(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, lines string
		asked       string
		options     []string
	}{
		{name: "in a name", lines: `rewrite name regex ^([^.]+)\.example\.org\.$ {1}.{kubernetes/client-namespace}.svc.Cluster.local metadata`,
			asked: "www.team-a.svc.cluster.local. IN A 1232"},
		{name: "braces in a value are text", lines: `rewrite name regex ^([^.]+)\.example\.org\.$ {test/braces}.x metadata`, asked: "{1}.x. IN A 1232"},
		{name: "that is empty", lines: `rewrite name regex ^([^.]+)\.example\.org\.$ {test/empty}x metadata` + "\nrewrite type A MX", asked: "www.example.org. IN MX 1232"},
		{name: "that nobody knows", lines: `rewrite name regex ^([^.]+)\.example\.org\.$ {test/nobody}x metadata` + "\nrewrite type A MX", asked: "www.example.org. IN MX 1232"},
		{name: "in an option", lines: "rewrite edns0 local set 0xffee {kubernetes/client-namespace}", asked: "www.example.org. IN A 1232", options: []string{`65518="Team-A"`}},
		{name: "in an option, empty", lines: "rewrite edns0 local set 0xffee {test/empty}", asked: "www.example.org. IN A 1232"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m := new(dns.Msg).SetQuestion("www.example.org.", dns.TypeA)
			x := block.FromMsg(t, m.SetEdns0(1232, false))
			end := new(upstream)
			knows := block.HandlerFunc(func(ctx context.Context, x *plugin.Exchange) error {
				x.Metadata = new(plugin.Metadata)
				x.Metadata.Set("kubernetes/client-namespace", "Team-A")
				x.Metadata.Set("test/braces", "{1}")
				x.Metadata.Set("test/empty", "")
				return x.Next(ctx)
			})
			if err := block.Serve(x, knows, built(t, io.Discard, tc.lines), end); err != nil {
				t.Fatal(err)
			}
			if end.asked != tc.asked || !slices.Equal(end.options, tc.options) {
				t.Errorf("asked %s %v, want %s %v", end.asked, end.options, tc.asked, tc.options)
			}
		})
	}
}
