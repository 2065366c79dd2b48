package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
	nodes "sigs.k8s.io/yaml/goyaml.v3"
)

// document is one document of a file, able to tell the line of what it says. Lines are found only when something is
// wrong, by parsing the text a second time: parsing for them at once would double the time of every start.
type document struct {
	file string
	line int // of the text's first line in the file, from 1
	text []byte
	root *nodes.Node // made by the first question for a line
}

// split cuts a file at the lines that begin with "---" or end a document with "...".
func split(file string, text []byte) []*document {
	var docs []*document
	start, startLine, line := 0, 1, 1
	cut := func(end, next, nextLine int) {
		if doc := text[start:end]; !blank(doc) {
			docs = append(docs, &document{file: file, line: startLine, text: doc})
		}
		start, startLine = next, nextLine
	}
	for at := 0; at < len(text); line++ {
		end := at + bytes.IndexByte(text[at:], '\n') + 1
		if end == at {
			end = len(text)
		}
		switch mark := text[at:end]; {
		case marks(mark, "---") && blank(mark[3:]), marks(mark, "..."):
			cut(at, end, line+1)
		case marks(mark, "---"): // the document's first line stands behind the mark
			cut(at, at+3, line)
		}
		at = end
	}
	cut(len(text), len(text), line)
	return docs
}

func marks(line []byte, mark string) bool {
	return bytes.HasPrefix(line, []byte(mark)) && (len(line) == 3 || strings.IndexByte(" \t\r\n", line[3]) >= 0)
}

// blank tells whether a text is white space, comments and directives only.
func blank(text []byte) bool {
	for len(text) > 0 {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte("\n"))
		line = bytes.TrimPrefix(line, []byte("\ufeff"))
		if trimmed := bytes.TrimSpace(line); len(trimmed) > 0 && trimmed[0] != '#' && line[0] != '%' {
			return false
		}
	}
	return true
}

// begins is the line of the document's first word.
func (d *document) begins() int {
	line := d.line
	for text := d.text; len(text) > 0; line++ {
		var first []byte
		if first, text, _ = bytes.Cut(text, []byte("\n")); !blank(first) {
			return line
		}
	}
	return d.line
}

// json is the document as JSON, keys given twice refused.
func (d *document) json() ([]byte, error) {
	out, err := yaml.YAMLToJSONStrict(d.text)
	if err != nil {
		return nil, d.syntax(err)
	}
	return out, nil
}

// syntax is a parser's error, its line counted in the file.
func (d *document) syntax(err error) error {
	text := err.Error()
	for _, prefix := range []string{"error converting YAML to JSON: ", "yaml: ", "unmarshal errors:\n"} {
		text = strings.TrimPrefix(text, prefix)
	}
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	line := d.line
	if found := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(text); found != nil {
		n, _ := strconv.Atoi(found[1])
		line, text = d.line+max(n, 1)-1, text[len(found[0]):]
	}
	return fmt.Errorf("%s:%d: not YAML: %s", d.file, line, text)
}

// lineOf is the line in the file of the value at a path of keys (strings) and indices (ints), or of the nearest that
// there is above it.
func (d *document) lineOf(path ...any) int {
	if d.root == nil {
		d.root = &nodes.Node{}
		_ = nodes.Unmarshal(d.text, d.root) // a text that has no nodes has no lines but its first
	}
	node := d.root
	if node.Kind == nodes.DocumentNode && len(node.Content) > 0 {
		node = node.Content[0]
	}
	line := node.Line
	for _, step := range path {
		child := below(node, step)
		if child == nil {
			break
		}
		node, line = child, child.Line
	}
	return d.line + max(line, 1) - 1
}

func below(node *nodes.Node, step any) *nodes.Node {
	if node.Kind == nodes.AliasNode && node.Alias != nil {
		node = node.Alias
	}
	switch step := step.(type) {
	case int:
		if node.Kind == nodes.SequenceNode && step < len(node.Content) {
			return node.Content[step]
		}
	case string:
		if node.Kind != nodes.MappingNode {
			return nil
		}
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == step {
				return node.Content[i+1]
			}
		}
	}
	return nil
}

// pathTo is the path of the JSON value that ends, or the object or list that begins, at an offset.
func pathTo(data []byte, offset int64) []any {
	dec := json.NewDecoder(bytes.NewReader(data))
	var path []any // the last element is the key or index being read; nil where a key has to come
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) || err != nil {
			return nil
		}
		if n := len(path); n > 0 && path[n-1] == nil && token != json.Delim('}') {
			path[n-1] = token
			continue
		}
		if dec.InputOffset() >= offset && token != json.Delim('}') && token != json.Delim(']') {
			return path
		}
		switch token {
		case json.Delim('{'):
			path = append(path, nil)
			continue
		case json.Delim('['):
			path = append(path, 0)
			continue
		case json.Delim('}'), json.Delim(']'):
			path = path[:len(path)-1]
		}
		step(path)
	}
}

// step goes on behind a value: to the next index, or to the next key.
func step(path []any) {
	if n := len(path); n > 0 {
		if i, isIndex := path[n-1].(int); isIndex {
			path[n-1] = i + 1
		} else {
			path[n-1] = nil
		}
	}
}

// fieldPath reads a path as Kubernetes writes it: "spec.ports[0].port".
func fieldPath(text string) (path []any) {
	for _, part := range strings.Split(text, ".") {
		name, indices, _ := strings.Cut(part, "[")
		path = append(path, name)
		for _, index := range strings.Split(indices, "[") {
			if n, err := strconv.Atoi(strings.TrimSuffix(index, "]")); err == nil {
				path = append(path, n)
			}
		}
	}
	return path
}
