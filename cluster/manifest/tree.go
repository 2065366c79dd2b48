package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// tree is what was read of the files below some roots.
type tree struct {
	roots   []string
	decoder decoder
	log     *slog.Logger

	files    map[string]*file // by path
	listings []listing        // by root
}

// listing is what a root held when it could last be listed.
type listing struct {
	files   []string
	folders []string
	listed  bool
	err     error // why it could not be listed now
}

// file is one file as last seen and, apart from that, as last understood.
type file struct {
	info    fs.FileInfo
	settled bool // it was old enough when read for its time to tell of the next change
	text    []byte
	objects *objects // of the last good version
	err     error    // of the present version
}

func newTree(roots []string, d decoder, log *slog.Logger) *tree {
	return &tree{roots: roots, decoder: d, log: log, files: map[string]*file{}, listings: make([]listing, len(roots))}
}

// read looks at every file and reads those that changed. The result tells whether the objects did.
func (t *tree) read() (changed bool) {
	present := map[string]bool{}
	for i, root := range t.roots {
		l, err := list(root)
		if err != nil {
			t.lost(i, err)
			l = t.listings[i]
		} else {
			changed = !t.listings[i].listed || changed
			t.listings[i] = l
		}
		for _, path := range l.files {
			if present[path] {
				continue
			}
			present[path] = true
			if err == nil && t.readFile(path) {
				changed = true
			}
		}
	}
	for path := range t.files {
		if !present[path] {
			delete(t.files, path)
			changed = true
		}
	}
	return changed
}

// lost notes that a root cannot be listed; what was read of it stays.
func (t *tree) lost(i int, err error) {
	if l := &t.listings[i]; l.err == nil || l.err.Error() != err.Error() {
		l.err = err
		t.log.Error("manifests cannot be listed; what was read of them stays", "error", err)
	}
}

// readFile reads a file unless it is as it was. Two writes within a file system's tick show the same time, so a young
// file is read again.
func (t *tree) readFile(path string) (changed bool) {
	f := t.files[path]
	info, err := os.Stat(path)
	if err == nil && f != nil && f.settled && os.SameFile(info, f.info) && info.ModTime().Equal(f.info.ModTime()) && info.Size() == f.info.Size() {
		return false
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if f == nil {
		f = &file{objects: &objects{}}
		t.files[path] = f
	} else if err == nil && f.info != nil && bytes.Equal(text, f.text) {
		f.info, f.settled = info, old(info)
		return false
	}
	if err != nil {
		f.info, f.settled = nil, false
		t.broken(f, fmt.Errorf("%s: %w", path, cause(err)))
		return false
	}
	f.info, f.settled, f.text = info, old(info), text
	objects, err := t.decoder.file(path, text)
	if err != nil {
		t.broken(f, err)
		return false
	}
	f.objects, f.err = objects, nil
	return true
}

func old(info fs.FileInfo) bool { return time.Since(info.ModTime()) > 2*time.Second }

// broken notes that a file's present version is of no use, and says so once.
func (t *tree) broken(f *file, err error) {
	if f.err == nil || f.err.Error() != err.Error() {
		t.log.Error("a manifest is broken; its last good version stays in force", "error", err)
	}
	f.err = err
}

// complete tells whether every root was listed once.
func (t *tree) complete() bool {
	return !slices.ContainsFunc(t.listings, func(l listing) bool { return !l.listed })
}

// objects are those of all files, in the order of the roots and then of the names.
func (t *tree) objects() []*objects {
	var all []*objects
	seen := map[string]bool{}
	for _, l := range t.listings {
		for _, path := range l.files {
			if f := t.files[path]; f != nil && !seen[path] {
				seen[path] = true
				all = append(all, f.objects)
			}
		}
	}
	return all
}

// failures are what is wrong with roots and files now.
func (t *tree) failures() []string {
	var all []string
	for _, l := range t.listings {
		if l.err != nil {
			all = append(all, l.err.Error())
		}
	}
	for _, path := range slices.Sorted(maps.Keys(t.files)) {
		if err := t.files[path].err; err != nil {
			all = append(all, err.Error())
		}
	}
	return all
}

// folders are those whose events matter. A root's parent is one: files are replaced by renaming, folders by symbolic
// links.
func (t *tree) folders() []string {
	var all []string
	for i, l := range t.listings {
		all = append(all, filepath.Dir(filepath.Clean(t.roots[i])))
		all = append(all, l.folders...)
	}
	return all
}

// list finds the manifests of a root: the file itself, or those with a manifest's name in the folder and below it.
// Hidden files and folders are left out; so a mounted ConfigMap, whose files are links into a hidden folder, is read
// once.
func list(root string) (listing, error) {
	info, err := os.Stat(root)
	if err != nil {
		return listing{}, fmt.Errorf("%s: %w", root, cause(err))
	}
	l := listing{listed: true}
	if !info.IsDir() {
		l.files = []string{root}
		return l, nil
	}
	err = l.walk(root, map[string]bool{})
	slices.Sort(l.files)
	return l, err
}

// walk adds what is in a folder. Links are followed, once.
func (l *listing) walk(folder string, visited map[string]bool) error {
	real, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return fmt.Errorf("%s: %w", folder, cause(err))
	}
	if visited[real] {
		return nil
	}
	visited[real] = true
	l.folders = append(l.folders, folder)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("%s: %w", folder, cause(err))
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		path := filepath.Join(folder, entry.Name())
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone meanwhile, or a link to nothing
		case err == nil && info.IsDir():
			if err := l.walk(path, visited); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		case isManifest(entry.Name()) && (err != nil || info.Mode().IsRegular()):
			l.files = append(l.files, path)
		}
	}
	return nil
}

func isManifest(name string) bool {
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

// cause is a file error without its path, which the message has already.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
