package peer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// kubernetesSwitch is the environment variable that names another version of Kubernetes than test/controlplane's, such as
// 1.29.6. Clusters are upgraded late: what the program asks an API server for has to be understood by old ones, too.
const kubernetesSwitch = "NAMEPLANE_KUBERNETES"

// OtherKubernetes is the version of Kubernetes that the environment asks for; empty for the usual one.
func OtherKubernetes() string { return strings.TrimPrefix(os.Getenv(kubernetesSwitch), "v") }

// APIServer returns the path of kube-apiserver, of the version that the environment asks for.
func APIServer(t testing.TB) string {
	t.Helper()
	if OtherKubernetes() == "" {
		return filepath.Join(ControlPlane(t), "kube-apiserver")
	}
	return need(t, buildOtherAPIServer)
}

// otherProgram is the API server alone: of older versions the rest is no longer to be had from everywhere.
const otherProgram = `package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() { os.Exit(cli.Run(app.NewAPIServerCommand())) }
`

// buildOtherAPIServer builds by a module of its own, whose requirements the go command works out: nobody has to keep them
// in the checkout for versions that are asked for now and then.
func buildOtherAPIServer(ctx context.Context) (string, error) {
	text := OtherKubernetes()
	part := regexp.MustCompile(`^(\d+)\.(\d+)\.\d+$`).FindStringSubmatch(text)
	if part == nil {
		return "", fmt.Errorf("%s=%s: a version such as 1.29.6 is wanted", kubernetesSwitch, text)
	}
	v := version{git: "v" + text, major: part[1], minor: part[2]}
	sum := sha256.Sum256([]byte(otherProgram))
	dir, err := cached(ctx, "apiserver-"+v.git+"-"+hex.EncodeToString(sum[:6]), func(ctx context.Context, dir string) error {
		module, err := os.MkdirTemp("", "apiserver-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(module)
		if err := writeModule(ctx, module, v); err != nil {
			return err
		}
		// Before 1.31 Kubernetes has clouds compiled in, by a module that is no longer to be had; the tag leaves them out.
		return goCommand(ctx, module, nil, "build", "-mod=mod", "-tags", "providerless", "-ldflags", v.ldflags(), "-o", filepath.Join(dir, "kube-apiserver"), ".")
	})
	return filepath.Join(dir, "kube-apiserver"), err
}

// writeModule makes the module of a version's API server. Kubernetes' own staging modules have versions like its own.
func writeModule(ctx context.Context, module string, v version) error {
	out, err := goOutput(ctx, module, nil, "mod", "download", "-json", "k8s.io/kubernetes@"+v.git)
	if err != nil {
		return err
	}
	var downloaded struct{ GoMod string }
	if err := json.Unmarshal(out, &downloaded); err != nil {
		return err
	}
	theirs, err := os.ReadFile(downloaded.GoMod)
	if err != nil {
		return err
	}
	text := "module apiserver\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes " + v.git + "\n\n"
	for _, staged := range regexp.MustCompile(`(?m)^\s*(\S+) => \./staging/`).FindAllSubmatch(theirs, -1) {
		text += fmt.Sprintf("replace %s => %[1]s v0.%s\n", staged[1], strings.TrimPrefix(v.git, "v"+v.major+"."))
	}
	if err := os.WriteFile(filepath.Join(module, "go.mod"), []byte(text), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(module, "main.go"), []byte(otherProgram), 0o644)
}
