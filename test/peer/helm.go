package peer

import (
	"context"
	"path/filepath"
	"testing"
)

// HelmVersion is the release that the chart is rendered and installed with.
const HelmVersion = "v4.3.1"

// BuildHelm returns the path of a helm binary of version HelmVersion.
func BuildHelm(ctx context.Context) (string, error) {
	dir, err := cached(ctx, "helm-"+HelmVersion, func(ctx context.Context, dir string) error {
		return goCommand(ctx, dir, []string{"GOBIN=" + dir}, "install", "helm.sh/helm/v4/cmd/helm@"+HelmVersion)
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "helm"), nil
}

// Helm returns the path of a helm binary of version HelmVersion, building it first when the cache has none.
func Helm(t testing.TB) string {
	t.Helper()
	return need(t, BuildHelm)
}
