package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// source is a parsed Go file.
type source struct {
	name   string // below the module's folder, with slashes
	folder string
	text   string
	files  *token.FileSet
	file   *ast.File
}

// parse reads a file.
func parse(name, text string) (*source, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	return &source{name: name, folder: path.Dir(name), text: text, files: set, file: file}, nil
}

// sources are all Go files of the module whose folder is root; other modules below it don't count.
func sources(root string) (list []*source, err error) {
	err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skip(name, below)
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		s, err := parse(filepath.ToSlash(below), string(text))
		list = append(list, s)
		return err
	})
	return list, err
}

func skip(folder, below string) error {
	if below == "." {
		return nil
	}
	base := filepath.Base(below)
	if strings.HasPrefix(base, ".") || base == "testdata" {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
		return filepath.SkipDir
	}
	return nil
}

func (s *source) isTest() bool { return strings.HasSuffix(s.name, "_test.go") }

// supports tells whether the file is for tests only, which may do what the program must not.
func (s *source) supports() bool {
	return s.isTest() || strings.HasPrefix(s.name, "test/") || s.folder == "cluster/conformance"
}

func (s *source) at(pos token.Pos) string {
	return fmt.Sprintf("%s:%d", s.name, s.files.Position(pos).Line)
}

// imports are the file's, by path.
func (s *source) imports() (list []string) {
	for _, i := range s.file.Imports {
		list = append(list, strings.Trim(i.Path.Value, `"`))
	}
	return list
}
