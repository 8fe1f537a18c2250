package config

import (
	"strconv"
	"strings"
)

// Limits of a file, far above any that a person writes.
const (
	maxFileBytes = 1 << 20
	maxDepth     = 64      // nesting; also ends aliases that contain themselves
	maxNodes     = 100_000 // values after aliases were replaced by what they stand for
)

type nodeKind uint8

const (
	nullNode nodeKind = iota
	boolNode
	numberNode
	textNode
	listNode
	mapNode
)

// node is a value of a file, whichever its format.
type node struct {
	Pos
	kind    nodeKind
	text    string // of a scalar
	raw     string // what was written, where text came from the environment
	broken  bool   // a problem with it was reported already
	members []member
	items   []*node
}

// member is a key of a mapping and its value.
type member struct {
	Pos
	name  string
	value *node
}

// scalar reports whether n is text, a number or a boolean.
func (n *node) scalar() bool { return n.kind == boolNode || n.kind == numberNode || n.kind == textNode }

// empty reports whether n says nothing: null, false, zero, "" or a collection of such.
func (n *node) empty() bool {
	switch n.kind {
	case boolNode:
		return n.text == "false"
	case numberNode:
		f, err := strconv.ParseFloat(n.text, 64)
		return err == nil && f == 0
	case textNode:
		return n.text == ""
	case listNode:
		for _, item := range n.items {
			if !item.empty() {
				return false
			}
		}
	case mapNode:
		for _, m := range n.members {
			if !m.value.empty() {
				return false
			}
		}
	}
	return true
}

// member returns the value of a key, or nil.
func (n *node) member(lower string) *node {
	for _, m := range n.members {
		if fold(m.name) == lower {
			return m.value
		}
	}
	return nil
}

// got shows n in a problem: a scalar as it was written, and only the kind of anything larger.
func (n *node) got() string {
	switch n.kind {
	case nullNode:
		return "nothing"
	case listNode:
		return "a list"
	case mapNode:
		return "a mapping"
	case textNode:
		if n.raw != "" {
			return show(n.raw) + " (its value is not shown)"
		}
		return show(n.text)
	}
	return clip(n.text)
}

// kindName shows what n is without any of it, where it may be a secret in the wrong place.
func (n *node) kindName() string {
	switch n.kind {
	case boolNode:
		return "a boolean"
	case numberNode:
		return "a number"
	case textNode:
		return "a text"
	}
	return n.got()
}

// names shows what a section has, or only the kind of anything else.
func (n *node) names() string {
	var names []string
	for _, m := range n.members {
		if !m.value.empty() {
			names = append(names, showKey(m.name))
		}
	}
	if len(names) == 0 {
		return n.kindName()
	}
	return strings.Join(names, ", ")
}
