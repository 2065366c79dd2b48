// Package stock holds the Corefiles that clusters are installed with, as tests and the exam run them: whoever replaces
// the image keeps his ConfigMap, so that each of them has to run as it is.
//
// The files in testdata have placeholders where a test has to use addresses, ports and paths of its own. Filled with
// nothing, they are what is installed. Those with imports come with the files that a vendor's manual suggests to put there.
package stock

import (
	"embed"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

//go:embed testdata
var testdata embed.FS

// Corefile is what one vendor installs.
type Corefile struct {
	Name   string
	folder string            // where the files beside it are, when it is installed; "" for beside it
	stock  map[string]string // values of placeholders that are not those of most
}

// Corefiles are all there are.
func Corefiles() []Corefile {
	return []Corefile{
		{Name: "kubeadm"},
		{Name: "addon"}, // cluster/addons/dns/coredns of Kubernetes
		{Name: "kops", folder: "/rootfs/etc/"},
		{Name: "k3s", folder: "/etc/coredns/"},
		{Name: "aks"}, // its imports are relative
		{Name: "nodelocal", stock: map[string]string{"{METRICS}": ":9253", "{HEALTH}": "169.254.20.10:8080"}},
	}
}

// Fill returns the text with values in the place of placeholders such as {PORT}; those without a value get what is
// installed.
func (c Corefile) Fill(values map[string]string) string {
	return c.fill(c.read(c.Name+".corefile"), values)
}

// Unpack writes the files beside the Corefile into dir, which {FOLDER} then has to name. There may be none.
func (c Corefile) Unpack(t testing.TB, dir string, values map[string]string) {
	t.Helper()
	root := "testdata/" + c.Name
	if _, err := fs.Stat(testdata, root); err != nil {
		return
	}
	err := fs.WalkDir(testdata, root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, strings.TrimPrefix(path, root))
		if entry.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		return os.WriteFile(to, []byte(c.fill(c.read(strings.TrimPrefix(path, "testdata/")), values)), 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// read panics without the file, which is a part of the package.
func (c Corefile) read(name string) string {
	text, err := testdata.ReadFile("testdata/" + name)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (c Corefile) fill(text string, values map[string]string) string {
	for _, from := range []map[string]string{values, c.stock, installed(c.folder)} {
		for placeholder, value := range from {
			text = strings.ReplaceAll(text, placeholder, value)
		}
	}
	return text
}

// installed is what most vendors write.
func installed(folder string) map[string]string {
	return map[string]string{
		"{PORT}": "53", "{BIND}": "", "{KUBECONFIG}": "", "{HEALTH}": "", "{READY}": "", "{METRICS}": ":9153",
		"{UPSTREAM}": "/etc/resolv.conf", "{CLUSTER}": "10.96.0.11", "{ADDRESSES}": "169.254.20.10 10.96.0.10",
		"{FOLDER}/": folder,
	}
}
