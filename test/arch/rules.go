package arch

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// rule looks at one file and says what breaks it.
type rule struct {
	name   string
	reason string
	breaks func(s *source) []string
}

const (
	maxFileLines = 500
	maxFuncLines = 70
)

// rules are those that a single file can break.
func rules() []rule {
	return []rule{
		{"imports", "", brokenImports},
		{"no init", "what runs before main is neither seen nor tested; pass values in", initFunctions},
		{"no blank import", "an import for its effect is a registry; the program is put together in plugin/standard and main", blankImports},
		{"no sleeping test", "a sleep is too short on a busy machine and too long on any other: wait for what is meant, with a deadline", sleeps},
		{"short file", fmt.Sprintf("past %d lines a file has more than one subject", maxFileLines), longFiles},
		{"short function", fmt.Sprintf("past %d lines a function does more than one thing", maxFuncLines), longFunctions},
		{"no exit", "only main ends the process: a query, a reload or a test must not", exits},
		{"no global logger", "loggers are passed in, so that lines say who speaks", globalLoggers},
		{"no state in packages", "package-level variables are constants by convention: state has an owner", packageState},
		{"nothing left to do", "what is not built is an issue, not a comment", leftovers},
		{"folder names", "a folder is named after what is in it", folderNames},
	}
}

func brokenImports(s *source) (found []string) {
	if s.isTest() {
		return nil
	}
	for _, imported := range s.imports() {
		if reason, ok := mayImport(s.folder, imported); !ok {
			found = append(found, fmt.Sprintf("%s imports %s: %s", s.name, imported, reason))
		}
	}
	return found
}

func initFunctions(s *source) (found []string) {
	for _, d := range s.file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			found = append(found, s.at(f.Pos()))
		}
	}
	return found
}

func blankImports(s *source) (found []string) {
	if s.supports() || s.file.Name.Name == "main" {
		return nil
	}
	for _, i := range s.file.Imports {
		if i.Name != nil && i.Name.Name == "_" {
			found = append(found, s.at(i.Pos())+" imports "+i.Path.Value)
		}
	}
	return found
}

func sleeps(s *source) []string {
	if !s.isTest() {
		return nil
	}
	return s.uses("time", "Sleep")
}

func longFiles(s *source) []string {
	if n := strings.Count(s.text, "\n"); n > maxFileLines {
		return []string{fmt.Sprintf("%s has %d lines", s.name, n)}
	}
	return nil
}

// longFunctions leaves tests alone: their tables are data.
func longFunctions(s *source) (found []string) {
	if s.supports() {
		return nil
	}
	for _, d := range s.file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := s.files.Position(f.End()).Line - s.files.Position(f.Pos()).Line; n > maxFuncLines {
			found = append(found, fmt.Sprintf("%s: %s has %d lines", s.at(f.Pos()), f.Name.Name, n))
		}
	}
	return found
}

func exits(s *source) []string {
	if s.supports() || s.file.Name.Name == "main" {
		return nil
	}
	return append(s.uses("os", "Exit"), s.uses("log", "Fatal", "Fatalf", "Fatalln", "Panic", "Panicf", "Panicln")...)
}

func globalLoggers(s *source) []string {
	if s.supports() {
		return nil
	}
	return append(s.uses("log", "Print", "Printf", "Println", "Default", "SetOutput"),
		s.uses("slog", "Debug", "Info", "Warn", "Error", "Log", "With", "Default", "SetDefault")...)
}

// uses are the places where the file uses names of an imported package of the standard library.
func (s *source) uses(pkg string, names ...string) (found []string) {
	imported := slices.ContainsFunc(s.imports(), func(i string) bool { return i == pkg || i == "log/"+pkg })
	if !imported {
		return nil
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok && slices.Contains(names, selector.Sel.Name) {
			if id, ok := selector.X.(*ast.Ident); ok && id.Name == pkg && id.Obj == nil {
				found = append(found, s.at(n.Pos())+" uses "+pkg+"."+selector.Sel.Name)
			}
		}
		return true
	})
	return found
}

// packageState finds package-level variables that get no value where they stand, or that some function changes.
func packageState(s *source) (found []string) {
	if s.supports() {
		return nil
	}
	declared := map[*ast.Object]bool{}
	for _, d := range s.file.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok || group.Tok != token.VAR {
			continue
		}
		for _, spec := range group.Specs {
			v := spec.(*ast.ValueSpec)
			for _, name := range v.Names {
				declared[name.Obj] = true
				if len(v.Values) == 0 {
					found = append(found, s.at(name.Pos())+" declares "+name.Name+" without a value")
				}
			}
		}
	}
	changed := func(e ast.Expr) {
		if id := root(e); id != nil && id.Obj != nil && declared[id.Obj] {
			found = append(found, s.at(e.Pos())+" changes "+id.Name)
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, e := range n.Lhs {
				changed(e)
			}
		case *ast.IncDecStmt:
			changed(n.X)
		}
		return true
	})
	return found
}

// root is the variable that an expression on the left of "=" is part of.
func root(e ast.Expr) *ast.Ident {
	for {
		switch part := e.(type) {
		case *ast.Ident:
			return part
		case *ast.SelectorExpr:
			e = part.X
		case *ast.IndexExpr:
			e = part.X
		case *ast.StarExpr:
			e = part.X
		case *ast.ParenExpr:
			e = part.X
		default:
			return nil
		}
	}
}

func leftovers(s *source) (found []string) {
	words := []string{"TO" + "DO", "FIX" + "ME", "XX" + "X"}
	for _, group := range s.file.Comments {
		for _, c := range group.List {
			for _, word := range words {
				if strings.Contains(c.Text, word) {
					found = append(found, s.at(c.Pos())+" says "+word)
				}
			}
		}
	}
	return found
}

func folderNames(s *source) (found []string) {
	for _, part := range strings.Split(s.folder, "/") {
		switch part {
		case "util", "utils", "common", "helper", "helpers", "misc", "pkg", "internal", "types", "base":
			found = append(found, s.name)
		}
	}
	return found
}
