package bind

import (
	"io"
	"net"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nameplane/nameplane/test/block"
)

var host = interfaces{
	"lo":    {"127.0.0.1", "::1"},
	"eth0":  {"10.0.0.7", "fe80::7%eth0"},
	"dummy": {},
}

func TestHosts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile string
		want           []string
		wantErr        string
	}{
		{name: "addresses", corefile: ". {\n bind 127.0.0.1 ::1\n}", want: []string{"127.0.0.1", "::1"}},
		{name: "an interface", corefile: ". {\n bind eth0\n}", want: []string{"10.0.0.7", "fe80::7%eth0"}},
		{name: "lines add up", corefile: ". {\n bind 127.0.0.1\n bind lo\n}", want: []string{"127.0.0.1", "::1"}},
		{name: "except an address", corefile: ". {\n bind lo {\n  except 127.0.0.1\n }\n}", want: []string{"::1"}},
		{name: "except an interface", corefile: ". {\n bind lo 10.0.0.1 {\n  except lo\n }\n}", want: []string{"10.0.0.1"}},
		{
			name: "an exception counts for its line", corefile: ". {\n bind lo {\n  except ::1\n }\n bind ::1\n}",
			want: []string{"127.0.0.1", "::1"},
		},
		{name: "an address spelled long", corefile: ". {\n bind lo {\n  except 0:0::1\n }\n}", want: []string{"127.0.0.1"}},
		{name: "nothing", corefile: ". {\n bind\n}", wantErr: `Corefile:2: bind: wants at least 1 argument, but has 0; write "bind ADDRESS|IFACE..."`},
		{name: "nothing left", corefile: ". {\n bind lo {\n  except lo\n }\n}", wantErr: "Corefile:2: bind: no address is left to bind to after the exceptions"},
		{name: "near an interface", corefile: ". {\n bind eth1\n}", wantErr: `Corefile:2: bind: "eth1" is neither an IP address nor an interface of this host; did you mean "eth0"?`},
		{
			name: "near none", corefile: ". {\n bind 10.0.0.300\n}",
			wantErr: `Corefile:2: bind: "10.0.0.300" is neither an IP address nor an interface of this host (interfaces: ["dummy" "eth0" "lo"])`,
		},
		{name: "an interface without address", corefile: ". {\n bind dummy\n}", wantErr: `Corefile:2: bind: interface "dummy" has no address`},
		{
			name: "all errors at once", corefile: ". {\n bind lp {\n  except\n  only lo\n }\n}",
			wantErr: `Corefile:2: bind: "lp" is neither an IP address nor an interface of this host; did you mean "lo"?
Corefile:3: except: wants at least 1 argument, but has 0; write "except ADDRESS|IFACE..."
Corefile:4: bind: unknown option "only" (known options: except)`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := host.hosts(block.Lines(t, test.corefile, "bind"))
			if test.wantErr != "" {
				if err == nil || err.Error() != test.wantErr {
					t.Errorf("error is\n%v\nwant\n%s", err, test.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("hosts (-want +got):\n%s", diff)
			}
		})
	}
}

// A link-local address is of no use without its zone (RFC 4007, section 11); other kinds of address are passed over.
func TestTexts(t *testing.T) {
	t.Parallel()
	addrs := []net.Addr{
		&net.IPNet{IP: net.ParseIP("fe80::1"), Mask: net.CIDRMask(64, 128)},
		&net.IPNet{IP: net.ParseIP("10.0.0.7").To4(), Mask: net.CIDRMask(24, 32)},
		&net.UnixAddr{Name: "socket", Net: "unix"},
	}
	if diff := cmp.Diff([]string{"fe80::1%eth0", "10.0.0.7"}, texts("eth0", addrs)); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
}

func TestBuildReadsInterfaces(t *testing.T) {
	t.Parallel()
	known, err := readInterfaces()
	if err != nil {
		t.Fatal(err)
	}
	for name, addrs := range known {
		if !slices.Contains(addrs, "127.0.0.1") {
			continue
		}
		env := block.NewEnv(io.Discard)
		if _, err := Spec().Build(env, block.Lines(t, ". {\n bind "+name+"\n}", "bind")); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(addrs, env.Listen.Hosts); diff != "" {
			t.Errorf("hosts of %s (-want +got):\n%s", name, diff)
		}
		return
	}
	t.Fatalf("no interface has 127.0.0.1: %v", known)
}

// The examples name the loopback interface as Linux does.
func TestReadme(t *testing.T) {
	t.Parallel()
	for _, example := range block.Examples(t) {
		if _, err := host.hosts(block.Lines(t, example, "bind")); err != nil {
			t.Errorf("%v in the example\n%s", err, example)
		}
	}
}
