package config

import (
	"reflect"
	"strings"

	"holdfast/internal/collect/retain"
)

// state says what becomes of a key.
type state uint8

const (
	honoured state = iota // into says where
	silent                // accepted; nobody misses an effect
	ignored               // accepted; a warning (text) unless its value is empty or usual
	enabled               // a section whose presence turns a feature on, unless enable is false; else as ignored
	refused               // a problem (text, want) unless its value is empty: the file asks for protection that is not there
)

// key is a line of the table.
type key struct {
	// path of the key, in zot's spelling, with dots. "*" is any name, "[]" an item of a list, and "a|b"
	// the section a when its key name says b.
	path  string
	kind  kind // nil for a section
	state state
	// text is the warning, or what is wrong with what is refused; want is what to do about it.
	text, want string
	// usual is the value that has the same effect here as in zot; nil: an empty one has.
	usual any
	// into returns where the value of an honoured key goes. Of a section with keys of its own that is a bool, which its presence makes true, or a pointer to a struct, which
	// it makes.
	into func(t *target) any
	// items returns where the items of an honoured list of sections go, and add makes one more.
	items func(t *target) []*target
	add   func(t *target) *target
	// named returns where the values of one section go, of a section whose keys are any names, and makes it where there is none; names are those that there are.
	named func(t *target, name string) *target
	names func(t *target) []string
	// hidden values are shown nowhere, and may be in a file that the key's name with File names.
	hidden bool
}

// target is where values go: the whole tree, and the store, the policy and the item of keepTags that a key belongs to. item points to the struct
// of any other list or map of sections.
type target struct {
	config *Config
	store  *Store
	policy *retain.Policy
	keep   *retain.KeepTags
	item   any
}

// spec is a key of the table with the keys below it.
type spec struct {
	key
	name     string
	children map[string]*spec // by folded name
	order    []*spec
	variants []*spec // instead of children: by the value of the key name
	each     *spec   // of a section whose keys are any names
	item     *spec   // of a list
}

// table makes a tree of all keys.
func table() *spec {
	root := &spec{}
	for _, k := range allKeys() {
		s := root
		for part := range strings.SplitSeq(k.path, ".") {
			s = s.descend(part)
		}
		s.key = k
	}
	return root
}

// descend returns the spec of one part of a path, which it makes where there is none.
func (s *spec) descend(part string) *spec {
	if name, found := strings.CutSuffix(part, "[]"); found {
		s = s.descend(name)
		if s.item == nil {
			s.item = &spec{name: name}
		}
		return s.item
	}
	if part == "*" {
		if s.each == nil {
			s.each = &spec{name: part}
		}
		return s.each
	}
	name, variant, isVariant := strings.Cut(part, "|")
	child := s.children[fold(name)]
	if child == nil {
		child = &spec{name: name}
		if s.children == nil {
			s.children = map[string]*spec{}
		}
		s.children[fold(name)] = child
		s.order = append(s.order, child)
	}
	if !isVariant {
		return child
	}
	for _, v := range child.variants {
		if v.name == variant {
			return v
		}
	}
	v := &spec{name: variant}
	child.variants = append(child.variants, v)
	return v
}

// section reports whether s has keys below it.
func (s *spec) section() bool {
	return s.children != nil || s.variants != nil || s.each != nil || s.item != nil || s.kind == nil
}

// missed reports whether somebody misses the effect that a key has in zot.
func (s *spec) missed(n *node, value any) bool {
	switch {
	case s.usual != nil:
		return value != s.usual && value != ""
	case s.state == enabled:
		enable := n.member("enable")
		if enable == nil {
			return true
		}
		on, problem := parseBool(enable)
		return problem != nil || on == true
	case value != nil && reflect.ValueOf(value).IsZero():
		return false
	}
	return !n.empty()
}

// below returns the keys with prefix before their paths.
func below(prefix string, keys []key) []key {
	moved := make([]key, len(keys))
	for i, k := range keys {
		k.path = join(prefix, k.path)
		moved[i] = k
	}
	return moved
}

// itemOf is the struct that a key of a list or map of sections belongs to; a new one where the table is only read.
func itemOf[T any](t *target) *T {
	if p, ok := t.item.(*T); ok {
		return p
	}
	return new(T)
}

// in returns the target of one section: t's, with another item.
func (t *target) in(item any) *target {
	inner := *t
	inner.item = item
	return &inner
}
