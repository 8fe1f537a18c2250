package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseYAML reads a file of YAML. The result is nil for an empty file.
func parseYAML(file string, text []byte) (*node, *Problem) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, yamlProblem(file, text, err)
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		return nil, &Problem{Pos: Pos{file, more.Line, more.Column}, Wrong: "holds a second YAML document", Want: "one"}
	case !errors.Is(err, io.EOF):
		return nil, yamlProblem(file, text, err)
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) == 0 {
		return nil, nil
	}
	y := &yamlReader{file: file}
	return y.value(doc.Content[0], 0)
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

// yamlProblem is the parser's error. The parser quotes the names of anchors and tags, which may be a
// secret that begins with an asterisk: these are left out. It knows the line, at times the one before.
func yamlProblem(file string, text []byte, err error) *Problem {
	lines := strings.Split(string(text), "\n")
	for i, line := range lines { // the parser's own words for this are of no help
		if indent := len(line) - len(strings.TrimLeft(line, " \t")); strings.Contains(line[:indent], "\t") && indent < len(strings.TrimRight(line, "\r")) {
			at := Pos{file, i + 1, strings.IndexByte(line, '\t') + 1}
			return &Problem{Pos: at, Wrong: "is not YAML: a tab in the indentation", Want: "spaces"}
		}
	}
	said, at := err.Error(), Pos{File: file}
	if found := yamlLine.FindStringSubmatch(said); found != nil {
		at.Line, _ = strconv.Atoi(found[1]) // digits, by the expression
		if at.Line <= len(lines) {
			line := lines[at.Line-1]
			at.Column = len(line) - len(strings.TrimLeft(line, " ")) + 1
		}
		said = said[len(found[0]):]
	}
	said = strings.TrimPrefix(said, "yaml: ")
	if strings.Contains(said, "anchor") {
		said = "an alias that nothing defines; quote a text that begins with *"
	}
	return &Problem{Pos: at, Wrong: "is not YAML: " + said}
}

// yamlReader builds nodes, with aliases replaced by copies of what they stand for.
type yamlReader struct {
	file  string
	nodes int
}

func (y *yamlReader) pos(n *yaml.Node) Pos { return Pos{y.file, n.Line, n.Column} }

func (y *yamlReader) problem(n *yaml.Node, wrong, want string) *Problem {
	return &Problem{Pos: y.pos(n), Wrong: wrong, Want: want}
}

func (y *yamlReader) value(from *yaml.Node, depth int) (*node, *Problem) {
	if y.nodes++; y.nodes > maxNodes || depth > maxDepth {
		return nil, y.problem(from, "is too large, or an alias multiplies or contains itself",
			fmt.Sprintf("at most %d values, nested at most %d deep", maxNodes, maxDepth))
	}
	n := &node{Pos: y.pos(from)}
	switch from.Kind {
	case yaml.AliasNode:
		n, problem := y.value(from.Alias, depth+1)
		if n != nil {
			n.Pos = y.pos(from)
		}
		return n, problem
	case yaml.MappingNode:
		n.kind = mapNode
		return n, y.mapping(n, from, depth)
	case yaml.SequenceNode:
		n.kind = listNode
		for _, item := range from.Content {
			value, problem := y.value(item, depth+1)
			if problem != nil {
				return nil, problem
			}
			n.items = append(n.items, value)
		}
		return n, nil
	}
	n.text = from.Value
	switch from.ShortTag() {
	case "!!null":
	case "!!bool":
		n.kind, n.text = boolNode, strings.ToLower(from.Value)
	case "!!int", "!!float":
		n.kind = numberNode
	case "!!str", "!!timestamp":
		n.kind = textNode
	default:
		return nil, y.problem(from, "has a YAML tag", "a plain value; quote a text that begins with !")
	}
	return n, nil
}

// mapping adds the members of a mapping, and those that it merges from others (<<) where it has none
// of that name.
func (y *yamlReader) mapping(n *node, from *yaml.Node, depth int) *Problem {
	var merged []*node
	for i := 0; i+1 < len(from.Content); i += 2 {
		name, value := from.Content[i], from.Content[i+1]
		if name.Kind == yaml.AliasNode {
			name = name.Alias
		}
		if name.Kind != yaml.ScalarNode {
			return y.problem(from.Content[i], "has a key that is not a text", "a name")
		}
		converted, problem := y.value(value, depth+1)
		if problem != nil {
			return problem
		}
		if name.ShortTag() != "!!merge" {
			n.members = append(n.members, member{Pos: y.pos(from.Content[i]), name: name.Value, value: converted})
			continue
		}
		sources := []*node{converted}
		if converted.kind == listNode {
			sources = converted.items
		}
		for _, source := range sources {
			if source.kind != mapNode {
				return y.problem(value, "merges what is not a mapping", "a mapping or a list of mappings")
			}
		}
		merged = append(merged, sources...)
	}
	if len(merged) == 0 {
		return nil
	}
	own := map[string]bool{}
	for _, m := range n.members {
		own[fold(m.name)] = true
	}
	for _, source := range merged {
		for _, m := range source.members {
			if !own[fold(m.name)] {
				own[fold(m.name)] = true
				n.members = append(n.members, m)
			}
		}
	}
	return nil
}
