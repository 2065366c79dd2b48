package corefile

import (
	"math"
	"slices"
)

// outline is what can be seen in the text of a Corefile and its imports without putting the imports in place: where the keys
// of each block stand, and which lines of a block come out of which import. It is made before caddyfile reads the files and
// refuses what caddyfile would read for ever: devices, files that import themselves, variables that hold themselves.
type outline struct {
	headers  []*header         // of blocks that have keys, in the order in which caddyfile meets them
	used     int               // headers that nextHeader has handed out or passed
	snippets map[string]region // bodies by name
	imports  []*importLine
	unclosed []Position // the "{" that nothing closes, outermost first
	reader   importReader
}

// region is a run of lines of one file, both ends included.
type region struct {
	file     string
	from, to int
}

func (r region) contains(p Position) bool {
	return p.File == r.file && r.from <= p.Line && p.Line <= r.to
}

// header is the keys of a block, and the lines from its first key to its "}".
type header struct {
	keys   []Key
	region region
}

// importLine is one import and the text that it brings in: a snippet's body, or whole files.
type importLine struct {
	pos     Position
	pattern string
	targets []region
}

// readOutline reads content, which is the file called name, and all that it imports.
func readOutline(name string, content []byte) (*outline, error) {
	o := &outline{snippets: make(map[string]region)}
	if err := o.reader.enter(name, Position{File: name, Line: 1}); err != nil {
		return nil, err
	}
	if err := o.scan(lex(name, content), true); err != nil {
		return nil, err
	}
	// An import in a snippet's body may name a snippet that is defined after it.
	for i := 0; i < len(o.imports); i++ {
		if line := o.imports[i]; line.targets == nil {
			if err := o.resolve(line, false); err != nil {
				return nil, err
			}
		}
	}
	return o, nil
}

// scan reads the tokens of one file. Headers are looked for only where blocks may begin: not in a file that is imported from
// inside a block.
func (o *outline) scan(tokens []Token, blocks bool) error {
	s := scanner{outline: o, blocks: blocks}
	for i := 0; i < len(tokens); i++ {
		if _, ok := expandVariables(tokens[i].Text); !ok {
			return tokens[i].Errorf("the environment variables in %q refer to themselves", tokens[i].Text)
		}
		previous := Token{}
		if i > 0 {
			previous = tokens[i-1]
		}
		fresh := i == 0 || !sameLine(previous, tokens[i])
		s.beginBareBody(tokens[i], fresh)
		if tokens[i].Text == "import" && i+1 < len(tokens) && (fresh || s.depth == 1 && previous.Text == "{") {
			if err := s.addImport(tokens[i].Pos, tokens[i+1]); err != nil {
				return err
			}
			i++
			continue
		}
		if _, snippet := s.snippet(); tokens[i].Text == "{" && s.depth == 1 && previous.Text == "{" && !snippet {
			continue // a directive of that name to caddyfile, which opens nothing
		}
		s.token(tokens[i])
	}
	if len(tokens) > 0 {
		s.end(tokens[len(tokens)-1].Pos.Line)
	}
	return nil
}

// nextHeader returns the header of the next block, whose keys are given, or nil when the outline lacks it.
func (o *outline) nextHeader(keys []string) *header {
	for i := o.used; i < len(o.headers); i++ {
		if slices.EqualFunc(o.headers[i].keys, keys, func(k Key, text string) bool { return k.Text == text }) {
			o.used = i + 1
			return o.headers[i]
		}
	}
	return nil
}

// inOrder merges sequences of directives into the order of the block's text. The order within a sequence stays as it is, even
// where a snippet imported twice makes the lines contradict it.
func (o *outline) inOrder(h *header, sequences [][]*Directive) []*Directive {
	type placed struct {
		directive *Directive
		path      []int
	}
	var all []placed
	for _, sequence := range sequences {
		var path []int
		for _, d := range sequence {
			if own := o.path(h, d.Pos); slices.Compare(own, path) > 0 {
				path = own
			}
			all = append(all, placed{directive: d, path: path})
		}
	}
	slices.SortStableFunc(all, func(a, b placed) int { return slices.Compare(a.path, b.path) })
	directives := make([]*Directive, len(all))
	for i, p := range all {
		directives[i] = p.directive
	}
	return directives
}

// path tells where a line comes in the block of h: the line number, preceded by those of the imports that lead to it. Paths are
// compared element by element. A line that no import explains comes last.
func (o *outline) path(h *header, p Position) []int {
	if h != nil {
		if path := o.pathIn(h.region, p, make(map[region]bool)); path != nil {
			return path
		}
	}
	return []int{math.MaxInt, p.Line}
}

func (o *outline) pathIn(r region, p Position, seen map[region]bool) []int {
	if r.contains(p) {
		return []int{p.Line}
	}
	if seen[r] {
		return nil
	}
	seen[r] = true
	for _, line := range o.imports {
		if !r.contains(line.pos) {
			continue
		}
		for i, target := range line.targets {
			if path := o.pathIn(target, p, seen); path != nil {
				return append([]int{line.pos.Line, i}, path...)
			}
		}
	}
	return nil
}

// resolve finds what line imports, as caddyfile does: a snippet known by now, else files.
func (o *outline) resolve(line *importLine, blocks bool) error {
	if body, ok := o.snippets[line.pattern]; ok {
		line.targets = []region{body}
		return nil
	}
	line.targets = []region{}
	for _, path := range o.reader.matches(line.pos.File, line.pattern) {
		if err := o.reader.enter(path, line.pos); err != nil {
			return err
		}
		content, err := o.reader.read(path, line.pos)
		if err != nil {
			return err
		}
		line.targets = append(line.targets, region{file: path, from: 1, to: math.MaxInt})
		if err := o.scan(lex(path, content), blocks); err != nil {
			return err
		}
		o.reader.leave()
	}
	return nil
}
