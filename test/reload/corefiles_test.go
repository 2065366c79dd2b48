package reload

import (
	"fmt"
	"strings"

	"github.com/nameplane/nameplane/test/peer"
)

// ports are where the program listens.
type ports struct {
	stable int    // the block that is always there
	moving [3]int // of another block, in turn
	admin  int    // metrics
	taken  int    // somebody else's
	up     int    // the upstream's
}

func choosePorts() (ports, error) {
	free, err := peer.FreePorts(5)
	if err != nil {
		return ports{}, err
	}
	return ports{stable: free[0], moving: [3]int(free[1:4]), admin: free[4]}, nil
}

// What changes from one good Corefile to the next.
const (
	ttls      = 200 // different TTLs of the cluster's names
	firstTTL  = 30
	manifests = "../../cmd/nameplane/demo"
)

func ttlOf(n int) uint32 { return uint32(firstTTL + n%ttls) }

// hasExtra tells whether the n-th good Corefile has the zone extra.example.
func hasExtra(n int) bool { return n%3 != 0 }

func (p ports) movingOf(n int) int { return p.moving[n%len(p.moving)] }

// good is the n-th good Corefile: the cluster's zone with another TTL, a zone that comes and goes, one that is forwarded
// with other options, and a block that moves from port to port.
func (p ports) good(demo string, n int) string {
	var s strings.Builder
	fmt.Fprintf(&s, "cluster.local in-addr.arpa {\n bind 127.0.0.1\n errors\n prometheus 127.0.0.1:%d\n"+
		" kubernetes cluster.local in-addr.arpa {\n  manifests %s\n  ttl %d\n }\n loadbalance\n}\n", p.admin, demo, ttlOf(n))
	if hasExtra(n) {
		fmt.Fprintf(&s, "extra.example {\n bind 127.0.0.1\n hosts {\n  192.0.2.1 a.extra.example\n }\n}\n")
	}
	fmt.Fprintf(&s, "forwarded.example {\n bind 127.0.0.1\n forward . 127.0.0.1:%d {\n  max_fails %d\n }\n}\n", p.up, n%2)
	fmt.Fprintf(&s, "moving.example:%d {\n bind 127.0.0.1\n hosts {\n  192.0.2.%d a.moving.example\n }\n}\n", p.movingOf(n), n%250+1)
	return s.String()
}

// badFile is a Corefile that must not be put in place, and what is to be said of it.
type badFile struct{ name, text, want string }

// bad are Corefiles that are wrong, each in another stage: text, words, options, blocks, sockets.
func (p ports) bad(demo string) []badFile {
	start := p.good(demo, 1)
	return []badFile{
		{"cut off", start[:strings.Index(start, " kubernetes")] + "kubernetes {", `Corefile:5: "{" is never closed`},
		{"empty", "", "no server block"},
		{"an import of nothing", start + "import none.server\n", `"none.server" is neither a snippet`},
		{"an unknown directive", start + "b.example {\n whoamy\n}\n", `unknown directive "whoamy"; did you mean "whoami"?`},
		{"an option out of range", strings.Replace(start, "ttl 31", "ttl 3601", 1), "Corefile:7: ttl: "},
		{"a zone twice", start + "extra.example {\n bind 127.0.0.1\n whoami\n}\n", "it is already served at "},
		{"no certificate", start + "tls://b.example {\n whoami\n}\n", "by tls://: no certificate is given"},
		{"a port that is taken", start + fmt.Sprintf("b.example:%d {\n bind 127.0.0.1\n whoami\n}\n", p.taken), "address already in use"},
		{"a page whose port is taken", start + fmt.Sprintf("b.example {\n bind 127.0.0.1\n health 127.0.0.1:%d\n}\n", p.taken), "address already in use"},
		{"manifests that are not there", strings.Replace(start, demo, demo+"/none", 1), "none"},
	}
}
