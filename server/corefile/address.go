package corefile

import "net"

// Address returns the only argument of d, an address to listen on (HOST:PORT or :PORT), or fallback when there is none.
func (d *Directive) Address(fallback string) (string, error) {
	if err := d.WantArgs(0, 1, d.Name+" [HOST:PORT]"); err != nil {
		return "", err
	}
	if len(d.Args) == 0 {
		return fallback, nil
	}
	text := d.Args[0].Text
	_, port, err := net.SplitHostPort(text)
	if err != nil || port == "" {
		return "", d.Errorf("%q is not an address; write HOST:PORT or :PORT", text)
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return "", d.Errorf("%q is not a port, in %q", port, text)
	}
	return text, nil
}
