package forward

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

const defaultPort = 53

// parseAddress reads IP, IP:PORT, [IP] or [IP]:PORT; IPv6 addresses may have a zone.
func parseAddress(text string) (netip.AddrPort, bool) {
	if addr, err := netip.ParseAddrPort(text); err == nil {
		return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), addr.Port() != 0
	}
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		text = text[1 : len(text)-1]
	}
	addr, err := netip.ParseAddr(text)
	return netip.AddrPortFrom(addr.Unmap(), defaultPort), err == nil
}

// readResolvConf is the addresses in the nameserver lines of a file (resolv.conf(5)). It is read once: a reload reads it
// again.
func readResolvConf(path, dir string) ([]string, error) {
	name := path
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	content, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%q is neither an IP address nor a file; write IP[:PORT] or the path of a resolv.conf", path)
	}
	if err != nil {
		return nil, fmt.Errorf("%q cannot be read as a resolv.conf: %w", path, err)
	}
	var found []string
	for number, line := range strings.Split(string(content), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		addr, err := netip.ParseAddr(fields[1])
		if err != nil {
			return nil, fmt.Errorf("%s:%d: nameserver %q is not an IP address", name, number+1, fields[1])
		}
		found = append(found, netip.AddrPortFrom(addr.Unmap(), defaultPort).String())
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%q has no nameserver line", path)
	}
	return found, nil
}
