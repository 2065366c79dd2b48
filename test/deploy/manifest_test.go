package deploy

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

const root = "../../deploy"

// load reads one manifest as T, of which it must hold every field.
func load[T any](t *testing.T, path string) *T {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	object := new(T)
	if err := yaml.UnmarshalStrict(text, object); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return object
}

// kustomization is the part of kustomize's file that is used here.
type kustomization struct {
	metav1.TypeMeta `json:",inline"`
	Namespace       string       `json:"namespace"`
	Resources       []string     `json:"resources"`
	Components      []string     `json:"components"`
	Patches         []patchEntry `json:"patches"`
}

type patchEntry struct {
	Target struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	} `json:"target"`
	Path    string `json:"path"`
	Patch   string `json:"patch"`
	Options struct {
		AllowNameChange bool `json:"allowNameChange"`
	} `json:"options"`
}

// operation is one of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

func parsePatch(t *testing.T, where string, text []byte) []operation {
	t.Helper()
	var operations []operation
	if err := yaml.UnmarshalStrict(text, &operations); err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	for _, o := range operations {
		if !slices.Contains([]string{"add", "replace", "remove"}, o.Op) || !strings.HasPrefix(o.Path, "/") || (o.Value == nil) != (o.Op == "remove") {
			t.Errorf("%s: %+v is no operation of RFC 6902", where, o)
		}
	}
	return operations
}

// files are the paths below deploy whose names end in one of the endings.
func files(t *testing.T, endings ...string) (found []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && slices.Contains(endings, filepath.Ext(path)) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Unknown, repeated and wrongly capitalised fields are errors, by Kubernetes' own strict decoder: the API server would drop
// them in silence.
func TestManifestsAreStrict(t *testing.T) {
	t.Parallel()
	strict := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	objects := 0
	for _, path := range files(t, ".yaml") {
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case filepath.Base(path) == "kustomization.yaml", filepath.Dir(path) == "monitoring", strings.HasPrefix(path, "chart/"):
			continue // read by tests of their own
		case isPatch(text):
			parsePatch(t, path, text)
			continue
		}
		if _, _, err := strict.Decode(text, nil, nil); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		objects++
	}
	if objects < 10 {
		t.Errorf("%d objects, want those of the base and of the overlays", objects)
	}
}

// isPatch tells a file that is a list of operations, below its comment.
func isPatch(text []byte) bool {
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte("#")) {
			return bytes.HasPrefix(line, []byte("- "))
		}
	}
	return false
}

// What a kustomization names exists, and every file beside it is named.
func TestKustomizationsAreComplete(t *testing.T) {
	t.Parallel()
	found := 0
	for _, path := range files(t, ".yaml") {
		dir := filepath.Dir(path)
		if filepath.Base(path) != "kustomization.yaml" {
			continue
		}
		found++
		k := load[kustomization](t, path)
		named := []string{"kustomization.yaml"}
		for _, p := range k.Patches {
			if p.Path == "" {
				parsePatch(t, path, []byte(p.Patch))
				continue
			}
			named = append(named, p.Path)
		}
		for _, name := range slices.Concat(k.Resources, k.Components, named) {
			if info, err := os.Stat(filepath.Join(root, dir, name)); err != nil {
				t.Errorf("%s: %v", path, err)
			} else if info.IsDir() != strings.HasPrefix(name, "..") {
				t.Errorf("%s: %s is not of the kind that its name tells", path, name)
			}
		}
		beside, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range beside {
			if !slices.Contains(named, entry.Name()) && !slices.Contains(k.Resources, entry.Name()) {
				t.Errorf("%s does not name %s", path, entry.Name())
			}
		}
	}
	if found != 10 {
		t.Errorf("%d kustomizations, want base, five components and four overlays", found)
	}
}

// Applied file by file, as the end-to-end test does and as an operator without kustomize may, the base is the same: it
// only lists files.
func TestBaseOnlyLists(t *testing.T) {
	t.Parallel()
	k := load[kustomization](t, "base/kustomization.yaml")
	if k.Namespace != "" || len(k.Components)+len(k.Patches) > 0 {
		t.Errorf("the base changes what it lists: %+v", k)
	}
	if slices.ContainsFunc(k.Resources, func(name string) bool { return strings.Contains(name, "config") }) {
		t.Error("the base brings a ConfigMap: it would overwrite the operator's Corefile")
	}
}
