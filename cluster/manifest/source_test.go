package manifest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/cluster/conformance"
)

// journal is a log that tests can read.
type journal struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// follow opens and runs a source until the test ends. Looking is switched off unless the test sets poll, so that events
// are what is tested.
func follow(t *testing.T, origin cluster.Origin, needs cluster.Needs, poll time.Duration) (*cluster.Store, *journal) {
	t.Helper()
	log := &journal{}
	opened, err := Open(origin, needs, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	s := opened.(*source)
	s.settle, s.poll = 5*time.Millisecond, time.Hour
	if poll != 0 {
		s.poll = poll
	}
	store, w := cluster.NewStore()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, w) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	await(t, store, "synced", store.Synced)
	return store, log
}

func await(t *testing.T, store *cluster.Store, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not %s: %s\n%s", what, store.Status(), conformance.View(store, "default"))
		}
		<-time.After(2 * time.Millisecond)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	// As editors and kubelet do it: whole, by renaming.
	temporary := filepath.Join(filepath.Dir(path), ".new")
	if err := os.WriteFile(temporary, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, path); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func has(store *cluster.Store, namespace, name string) func() bool {
	key, _ := cluster.ServiceKey(namespace, name)
	return func() bool { return store.Service([]byte(key)) != nil }
}

func hasNot(store *cluster.Store, namespace, name string) func() bool {
	there := has(store, namespace, name)
	return func() bool { return !there() }
}

func headless(name string) string {
	return "apiVersion: v1\nkind: Service\nmetadata: {name: " + name + "}\nspec: {clusterIP: None}\n"
}

// TestConformance runs the suite of all sources: every object is a file.
func TestConformance(t *testing.T) {
	conformance.Run(t, func(t *testing.T, needs cluster.Needs, labels, namespaceLabels string) conformance.Cluster {
		folder := t.TempDir()
		store, _ := follow(t, cluster.Origin{Manifests: []string{folder}, Labels: labels, NamespaceLabels: namespaceLabels}, needs, 0)
		path := func(kind, namespace, name string) string {
			return filepath.Join(folder, strings.Join([]string{kind, namespace, name}, "-")+".yaml")
		}
		return conformance.Cluster{
			Apply: func(text string) {
				for _, doc := range split("conformance", []byte(text)) {
					var h head
					if err := yaml.Unmarshal(doc.text, &h); err != nil {
						t.Fatal(err)
					}
					write(t, path(h.Kind, h.Metadata.Namespace, h.Metadata.Name), string(doc.text))
				}
			},
			Delete: func(kind, namespace, name string) { remove(t, path(kind, namespace, name)) },
			Store:  store,
		}
	})
}

// TestOpen: everything wrong with an origin is told at once.
func TestOpen(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, test := range []struct {
		name   string
		origin cluster.Origin
		want   []string // parts of the error; none when it is good
	}{
		{name: "folder", origin: cluster.Origin{Manifests: []string{folder}}},
		{name: "nothing", want: []string{"no file or folder is named"}},
		{
			name:   "all at once",
			origin: cluster.Origin{Manifests: []string{folder, folder + "/missing.yaml"}, Labels: "a==b==c", NamespaceLabels: "!!"},
			want:   []string{folder + "/missing.yaml: no such file or directory", `labels "a==b==c": not a label selector`, `namespace labels "!!"`},
		},
		{name: "host bits", origin: cluster.Origin{Manifests: []string{folder}, ServiceCIDRs: cidrs("10.96.0.1/12")}, want: []string{"10.96.0.0/12 would be"}},
		{name: "neither file nor folder", origin: cluster.Origin{Manifests: []string{os.DevNull}}, want: []string{"neither a file nor a folder"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, err := Open(test.origin, cluster.Needs{}, slog.New(slog.DiscardHandler))
			if (err != nil) != (test.want != nil) || (s != nil) != (err == nil) {
				t.Fatalf("%v, %v", s, err)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v; want %q", err, part)
				}
			}
		})
	}
}

// TestFollow: what is done to files and folders while the source runs.
func TestFollow(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write(t, folder+"/a.yaml", headless("a"))
	write(t, folder+"/notes.txt", "not: [YAML")
	write(t, folder+"/.hidden.yaml", headless("hidden"))
	write(t, folder+"/.git/x.yaml", headless("hidden"))
	store, log := follow(t, cluster.Origin{Manifests: []string{folder}}, cluster.Needs{}, 0)
	if !has(store, "default", "a")() || has(store, "default", "hidden")() {
		t.Fatal(conformance.View(store, "default"))
	}

	write(t, folder+"/b.yml", headless("b"))
	await(t, store, "created", has(store, "default", "b"))
	write(t, folder+"/b.yml", headless("c"))
	await(t, store, "replaced", has(store, "default", "c"))
	await(t, store, "gone", hasNot(store, "default", "b"))
	write(t, folder+"/deep/er/d.json", `{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "d", "namespace": "json"}, "spec": {"clusterIP": "None"}}`)
	await(t, store, "there in a new folder", has(store, "json", "d"))
	write(t, folder+"/deep/er/e.yaml", headless("e"))
	await(t, store, "created in a new folder", has(store, "default", "e"))
	remove(t, folder+"/deep")
	await(t, store, "gone with its folder", hasNot(store, "default", "e"))
	if err := os.WriteFile(folder+"/a.yaml", []byte(headless("a2")), 0o644); err != nil { // in place
		t.Fatal(err)
	}
	await(t, store, "written in place", has(store, "default", "a2"))
	if got := store.Status(); got.Failure != "" || got.Skipped != 0 {
		t.Errorf("%s\n%s", got, log)
	}
}

// TestBrokenFile: it keeps what was loaded from it, is told once with file and line, and hinders no other.
func TestBrokenFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write(t, folder+"/a.yaml", headless("a"))
	write(t, folder+"/never.yaml", "kind: [")
	store, log := follow(t, cluster.Origin{Manifests: []string{folder}}, cluster.Needs{}, 20*time.Millisecond)
	if got := store.Status().Failure; !strings.Contains(got, folder+"/never.yaml:1: not YAML") {
		t.Errorf("failure %q", got)
	}
	write(t, folder+"/a.yaml", headless("b")+"---\napiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec:\n  ports: 80\n")
	place := folder + "/a.yaml:10: Service default/x: spec.ports: a number, where a list is wanted"
	await(t, store, "reported", func() bool { return strings.Contains(store.Status().Failure, place) })
	write(t, folder+"/other.yaml", headless("other"))
	await(t, store, "followed on", has(store, "default", "other"))
	if !has(store, "default", "a")() || has(store, "default", "b")() {
		t.Error("the last good version is not in force")
	}
	if got := strings.Count(log.String(), place); got != 1 {
		t.Errorf("told %d times:\n%s", got, log)
	}
	write(t, folder+"/a.yaml", headless("b"))
	remove(t, folder+"/never.yaml")
	await(t, store, "mended", func() bool { return store.Status().Failure == "" })
	await(t, store, "in force", has(store, "default", "b"))
	await(t, store, "told", func() bool { return strings.Contains(log.String(), "can be read again") })
}

// TestVanished: a folder or a file that was named, and went, leaves what was read of it; and counts again when it is
// back.
func TestVanished(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	write(t, top+"/folder/a.yaml", headless("a"))
	write(t, top+"/single.yaml", headless("s"))
	store, log := follow(t, cluster.Origin{Manifests: []string{top + "/folder", top + "/single.yaml"}}, cluster.Needs{}, 20*time.Millisecond)
	remove(t, top+"/folder")
	remove(t, top+"/single.yaml")
	await(t, store, "reported", func() bool {
		f := store.Status().Failure
		return strings.Contains(f, "folder: no such file") && strings.Contains(f, "single.yaml: no such file")
	})
	if !has(store, "default", "a")() || !has(store, "default", "s")() || !store.Synced() {
		t.Error("what was read is gone")
	}
	write(t, top+"/folder/b.yaml", headless("b"))
	write(t, top+"/single.yaml", headless("s2"))
	await(t, store, "back", has(store, "default", "b"))
	await(t, store, "back", has(store, "default", "s2"))
	await(t, store, "gone", hasNot(store, "default", "a"))
	await(t, store, "well", func() bool { return store.Status().Failure == "" })
	if got := strings.Count(log.String(), "cannot be listed"); got != 2 {
		t.Errorf("told %d times\n%s", got, log)
	}
}

// TestConfigMap does what kubelet does to a mounted ConfigMap: the files are links through ..data, and an update swaps
// that one link.
func TestConfigMap(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	version := func(n int) {
		hidden := fmt.Sprint("..2026_", n)
		write(t, filepath.Join(folder, hidden, "web.yaml"), headless(fmt.Sprint("web-", n)))
		link(t, hidden, folder+"/..tmp")
		if err := os.Rename(folder+"/..tmp", folder+"/..data"); err != nil {
			t.Fatal(err)
		}
		remove(t, fmt.Sprint(folder, "/..2026_", n-1))
	}
	version(1)
	link(t, "..data/web.yaml", folder+"/web.yaml")
	store, log := follow(t, cluster.Origin{Manifests: []string{folder}}, cluster.Needs{}, 0)
	for n := 1; n < 10; n++ {
		await(t, store, "current", has(store, "default", fmt.Sprint("web-", n)))
		if got := store.Status().Objects[cluster.KindService]; got != 1 {
			t.Errorf("%d services", got)
		}
		version(n + 1)
	}
	if strings.Contains(log.String(), "level=ERROR") {
		t.Error(log)
	}
}

func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

// TestLinks: linked folders are read once, and a circle of links ends.
func TestLinks(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	write(t, top+"/elsewhere/a.yaml", headless("a"))
	write(t, top+"/folder/b.yaml", headless("b"))
	link(t, "../elsewhere", top+"/folder/linked")
	link(t, "..", top+"/elsewhere/up")
	link(t, "missing.yaml", top+"/folder/dangling.yaml")
	store, log := follow(t, cluster.Origin{Manifests: []string{top + "/folder"}}, cluster.Needs{}, 0)
	if !has(store, "default", "a")() || !has(store, "default", "b")() || store.Status().Failure != "" {
		t.Errorf("%s\n%s", store.Status(), log)
	}
}

// TestLooking: where the file system tells nothing, looking finds a change, even one of the same size and time.
func TestLooking(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := folder + "/a.yaml"
	write(t, path, headless("a"))
	tr := newTree([]string{folder}, decoder{log: slog.New(slog.DiscardHandler)}, slog.New(slog.DiscardHandler))
	if !tr.read() || tr.read() {
		t.Fatal("the first look finds all, the second nothing")
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(headless("b")), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if !tr.read() {
		t.Error("a change within one tick of the clock is not seen")
	}
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, long, long); err != nil {
		t.Fatal(err)
	}
	if tr.read() || tr.read() {
		t.Error("a new time of the same content is a change")
	}
	if !tr.files[path].settled {
		t.Error("an old file is read again and again")
	}
}

// TestTold: a broken rule is logged and counted once, however often the files are read.
func TestTold(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write(t, folder+"/web.yaml", "\n# comment\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  ports:\n  - port: 80\n  clusterIP: 10.96.0.300\n")
	store, log := follow(t, cluster.Origin{Manifests: []string{folder}}, cluster.Needs{}, 0)
	for _, name := range []string{"a", "b"} {
		write(t, folder+"/"+name+".yaml", headless(name))
		await(t, store, "there", has(store, "default", name))
	}
	if got := store.Status(); got.Skipped != 1 || got.Failure != "" {
		t.Errorf("%d skipped; %s", got.Skipped, got)
	}
	if got := strings.Count(log.String(), `web.yaml:9: Service default/web: spec.clusterIP \"10.96.0.300\": not an IP address`); got != 1 {
		t.Errorf("told %d times\n%s", got, log)
	}
}

// TestEndingPod: a pod that is being deleted keeps its address until it is gone, and gets none when it was not known.
func TestEndingPod(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	pod := func(name, ending, ip string) {
		write(t, folder+"/"+name+".yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: "+name+ending+"}\nstatus: {podIP: "+ip+"}\n")
	}
	const ending = `, deletionTimestamp: "2026-01-01T00:00:00Z"`
	view := func(store *cluster.Store) string {
		return conformance.View(store, "default", "10.244.0.1", "10.244.0.2")
	}
	pod("known", "", "10.244.0.1")
	pod("stranger", ending, "10.244.0.2")
	store, _ := follow(t, cluster.Origin{Manifests: []string{folder}}, cluster.Needs{Pods: true}, 0)
	if got, want := view(store), "namespace\npod 10.244.0.1 known"; got != want {
		t.Errorf("the store holds\n%s\nwant\n%s", got, want)
	}
	pod("known", ending, "10.244.0.1")
	write(t, folder+"/a.yaml", headless("a"))
	await(t, store, "followed", has(store, "default", "a"))
	if got, want := view(store), "namespace\npod 10.244.0.1 known\nservice a headless"; got != want {
		t.Errorf("the store holds\n%s\nwant\n%s", got, want)
	}
	remove(t, folder+"/known.yaml")
	await(t, store, "gone", func() bool { return view(store) == "namespace\nservice a headless" })
}

// TestNeverListed: a store is not synced by what could not be read yet.
func TestNeverListed(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	write(t, top+"/there/a.yaml", headless("a"))
	write(t, top+"/late/b.yaml", headless("b"))
	opened, err := Open(cluster.Origin{Manifests: []string{top + "/there", top + "/late"}}, cluster.Needs{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := opened.(*source)
	store, w := cluster.NewStore()
	w.Expect(s.String(), s.rules.kinds()...)
	apply := &applier{writer: w, log: s.log, rules: s.rules}
	unwatched := func([]string) bool { return false }

	remove(t, top+"/late")
	s.read(apply, unwatched)
	if st := store.Status(); st.Synced || !strings.Contains(st.Failure, "late: no such file") {
		t.Errorf("one folder is missing: %+v", st)
	}
	write(t, top+"/late/b.yaml", headless("b"))
	s.read(apply, unwatched)
	if !store.Synced() || !has(store, "default", "a")() || !has(store, "default", "b")() || store.Status().Failure != "" {
		t.Errorf("all folders are there: %+v", store.Status())
	}
}
