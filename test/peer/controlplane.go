package peer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// BuildControlPlane returns the folder that holds etcd, kube-apiserver, kube-controller-manager and kube-proxy. The Kubernetes
// version is the one that test/controlplane/go.mod requires; the working directory must be inside the checkout.
func BuildControlPlane(ctx context.Context) (string, error) {
	source, err := controlPlaneSource()
	if err != nil {
		return "", err
	}
	v, err := kubernetesVersion(filepath.Join(source, "go.mod"))
	if err != nil {
		return "", err
	}
	sum, err := digest(source, "go.sum", "main.go")
	if err != nil {
		return "", err
	}
	return cached(ctx, "controlplane-"+v.git+"-"+sum, func(ctx context.Context, dir string) error {
		return linkControlPlane(ctx, source, v, dir)
	})
}

// ldflags are the linker's: they stamp the version, which an API server tells its clients.
func (v version) ldflags() string {
	const stamp = " -X k8s.io/component-base/version."
	return "-s -w" + stamp + "gitVersion=" + v.git + stamp + "gitMajor=" + v.major + stamp + "gitMinor=" + v.minor
}

// linkControlPlane builds the one binary into dir and gives it the names that it acts upon.
func linkControlPlane(ctx context.Context, source string, v version, dir string) error {
	if err := goCommand(ctx, source, nil, "build", "-ldflags", v.ldflags(), "-o", filepath.Join(dir, "controlplane"), "."); err != nil {
		return err
	}
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy"} {
		if err := os.Symlink("controlplane", filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// controlPlaneSource finds test/controlplane above the working directory, which for a test is its package's folder.
func controlPlaneSource() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		source := filepath.Join(dir, "test", "controlplane")
		if _, err := os.Stat(filepath.Join(source, "main.go")); err == nil {
			return source, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no test/controlplane above %s: run inside the checkout", start)
		}
	}
}

type version struct{ git, major, minor string }

func kubernetesVersion(gomod string) (version, error) {
	text, err := os.ReadFile(gomod)
	if err != nil {
		return version{}, err
	}
	m := regexp.MustCompile(`\sk8s\.io/kubernetes (v(\d+)\.(\d+)\.\S+)`).FindSubmatch(text)
	if m == nil {
		return version{}, fmt.Errorf("%s: no requirement of k8s.io/kubernetes", gomod)
	}
	return version{git: string(m[1]), major: string(m[2]), minor: string(m[3])}, nil
}

// digest is a short hash over the named files of dir.
func digest(dir string, names ...string) (string, error) {
	h := sha256.New()
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n%s", name, len(text), text)
	}
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}
