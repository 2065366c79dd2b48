package peer

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// kubernetesSwitch is the environment variable that names another version of Kubernetes than test/controlplane's, such as
// 1.29.6. Clusters are upgraded late: what the program asks an API server for has to be understood by old ones.
const kubernetesSwitch = "NAMEPLANE_KUBERNETES"

// OtherKubernetes is the version of Kubernetes that the environment asks for; empty for the usual one.
func OtherKubernetes() string { return strings.TrimPrefix(os.Getenv(kubernetesSwitch), "v") }

// otherControlPlane builds another version's control plane by a module of its own, whose requirements are worked out at
// build time: nobody has to keep them in the checkout for a version that is asked for now and then.
func otherControlPlane(ctx context.Context, source, text string) (string, error) {
	part := regexp.MustCompile(`^(\d+)\.(\d+)\.\d+$`).FindStringSubmatch(text)
	if part == nil {
		return "", fmt.Errorf("%s=%s: a version such as 1.29.6 is wanted", kubernetesSwitch, text)
	}
	v := version{git: "v" + text, major: part[1], minor: part[2]}
	sum, err := digest(source, "main.go")
	if err != nil {
		return "", err
	}
	return cached(ctx, "controlplane-"+v.git+"-"+sum, func(ctx context.Context, dir string) error {
		module, err := os.MkdirTemp("", "controlplane-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(module)
		if err := writeModule(ctx, source, module, v); err != nil {
			return err
		}
		// Before 1.31 Kubernetes has clouds compiled in, by a module that is no longer to be had; the tag leaves them out.
		return linkControlPlane(ctx, module, v, dir, "providerless")
	})
}

// writeModule makes the module of a control plane's version.
func writeModule(ctx context.Context, source, module string, v version) error {
	program, err := os.ReadFile(filepath.Join(source, "main.go"))
	if err != nil {
		return err
	}
	out, err := goOutput(ctx, source, nil, "mod", "download", "-json", "k8s.io/kubernetes@"+v.git)
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
	text := "module controlplane\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes " + v.git + "\n\n"
	for _, staged := range regexp.MustCompile(`(?m)^\s*(\S+) => \./staging/`).FindAllSubmatch(theirs, -1) {
		text += fmt.Sprintf("replace %s => %[1]s v0.%s\n", staged[1], strings.TrimPrefix(v.git, "v"+v.major+"."))
	}
	if err := os.WriteFile(filepath.Join(module, "go.mod"), []byte(text), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(module, "main.go"), program, 0o644); err != nil {
		return err
	}
	return goCommand(ctx, module, nil, "mod", "tidy", "-e") // what is missing is not of the build, or fails it
}
