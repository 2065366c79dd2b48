package peer

import (
	"context"
	"path/filepath"
)

// CoreDNSVersion is the release that Nameplane is compared with.
const CoreDNSVersion = "v1.15.0"

// BuildCoreDNS returns the path of a coredns binary of version CoreDNSVersion with its stock set of plugins.
func BuildCoreDNS(ctx context.Context) (string, error) {
	dir, err := cached(ctx, "coredns-"+CoreDNSVersion, func(ctx context.Context, dir string) error {
		return goCommand(ctx, dir, []string{"GOBIN=" + dir}, "install", "github.com/coredns/coredns@"+CoreDNSVersion)
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "coredns"), nil
}
