package forward

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// errNoNameserver is of a file that names nobody, which is left out as long as others are given.
var errNoNameserver = errors.New("has no nameserver line")

// resolvConf is a file in the shape of resolv.conf.
type resolvConf struct{ path string }

func newResolvConf(dir, path string) resolvConf {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return resolvConf{path: path}
}

// addresses are those in the nameserver lines (resolv.conf(5)).
func (r resolvConf) addresses() ([]netip.Addr, error) {
	content, err := os.ReadFile(r.path)
	if err != nil {
		return nil, fmt.Errorf("cannot be read as a resolv.conf: %w", err)
	}
	var found []netip.Addr
	for number, line := range strings.Split(string(content), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		addr, err := netip.ParseAddr(fields[1])
		if err != nil {
			return nil, fmt.Errorf("%s:%d: nameserver %q is not an IP address", r.path, number+1, fields[1])
		}
		found = append(found, addr)
	}
	if len(found) == 0 {
		return nil, errNoNameserver
	}
	return found, nil
}
