package bind

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"

	"github.com/nameplane/nameplane/server/corefile"
)

// interfaces are the addresses of each of the host's network interfaces, as text.
type interfaces map[string][]string

func readInterfaces() (interfaces, error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	known := make(interfaces, len(list))
	for _, i := range list {
		addrs, err := i.Addrs()
		if err != nil {
			return nil, fmt.Errorf("addresses of %s: %w", i.Name, err)
		}
		known[i.Name] = texts(i.Name, addrs)
	}
	return known, nil
}

// texts writes addresses for a listener: link-local ones of IPv6 need their zone (RFC 4007, section 11).
func texts(name string, addrs []net.Addr) []string {
	list := []string{}
	for _, a := range addrs {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue // not an IP address
		}
		addr := prefix.Addr()
		if addr.Is6() && (addr.IsLinkLocalUnicast() || addr.IsLinkLocalMulticast()) {
			addr = addr.WithZone(name)
		}
		list = append(list, addr.String())
	}
	return list
}

// resolve turns the words of a line into addresses.
func (known interfaces) resolve(line *corefile.Directive, words []corefile.Token) (hosts []string, err error) {
	var problems corefile.Errors
	for _, word := range words {
		addrs, isInterface := known[word.Text]
		addr, err := netip.ParseAddr(word.Text)
		switch {
		case isInterface && len(addrs) == 0:
			problems.Join(line.Errorf("interface %q has no address", word.Text))
		case isInterface:
			hosts = append(hosts, addrs...)
		case err == nil:
			hosts = append(hosts, addr.String())
		default:
			problems.Join(line.Errorf("%q is neither an IP address nor an interface of this host%s", word.Text, known.hint(word.Text)))
		}
	}
	return hosts, problems.Err()
}

func (known interfaces) hint(word string) string {
	names := slices.Sorted(maps.Keys(known))
	if near := corefile.Nearest(word, names); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return fmt.Sprintf(" (interfaces: %q)", names)
}
