package plan

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/nameplane/nameplane/cluster"
)

func TestParseKey(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text    string
		want    Key
		wrong   string // part of the error
		spelled string // where it is not text
	}{
		{text: "10.96.0.10:53/udp", want: Key{netip.MustParseAddr("10.96.0.10"), 53, cluster.UDP}},
		{text: "10.96.0.10:80", want: Key{netip.MustParseAddr("10.96.0.10"), 80, cluster.TCP}, spelled: "10.96.0.10:80/tcp"},
		{text: "[fd00::10]:443/tcp", want: Key{netip.MustParseAddr("fd00::10"), 443, cluster.TCP}},
		{text: "[::ffff:10.0.0.1]:1/SCTP", want: Key{netip.MustParseAddr("10.0.0.1"), 1, cluster.SCTP}, spelled: "10.0.0.1:1/sctp"},
		{text: "0.0.0.0:30080/tcp", want: Key{netip.IPv4Unspecified(), 30080, cluster.TCP}},
		{text: "10.96.0.10:80/quic", wrong: `protocol "quic" is none of tcp, udp, sctp`},
		{text: "10.96.0.10:80/", wrong: `protocol "" is none`},
		{text: "10.96.0.10", wrong: "no address and port"},
		{text: "fd00::10", wrong: "no address and port"},
		{text: "web.default:80", wrong: "no address and port"},
		{text: "10.96.0.10:0", wrong: "port 0"},
		{text: "10.96.0.10:65536", wrong: "no address and port"},
		{text: "[fe80::1%eth0]:80", wrong: "zone"},
		{text: "", wrong: "want ADDR:PORT/PROTO"},
	} {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			got, err := ParseKey(test.text)
			if test.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), test.wrong) {
					t.Fatalf("error %v, want %q", err, test.wrong)
				}
				return
			}
			if err != nil || got != test.want {
				t.Fatalf("%v, %v; want %v", got, err, test.want)
			}
			if test.spelled == "" {
				test.spelled = test.text
			}
			if got.String() != test.spelled {
				t.Errorf("spelled %s, want %s", got, test.spelled)
			}
		})
	}
}

// What is read is written in a form that reads the same.
func FuzzParseKey(f *testing.F) {
	for _, text := range []string{"10.96.0.10:53/udp", "[fd00::10]:443", "[::ffff:1.2.3.4]:1/sctp", "[fe80::1%1]:1", ":80/", "/"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := ParseKey(text)
		if err != nil {
			return
		}
		if again, err := ParseKey(key.String()); err != nil || again != key {
			t.Errorf("%q is %v, and that is %v, %v", text, key, again, err)
		}
	})
}
