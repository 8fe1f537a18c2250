package config

import (
	"fmt"
	"slices"
	"strings"
)

// walker reads a tree of nodes by the table.
type walker struct {
	root       *spec
	env        func(string) (string, bool)
	readSecret func(path string) (secretFile, error)
	report     Report
	expanded   int               // bytes of texts after their variables were replaced
	warned     map[string]int    // text of a warning: its index
	nodes      map[string]*node  // of the keys that the file has, by path
	meant      map[string]bool   // paths of keys that the file has with a letter wrong
	routes     map[string]string // of storage.subPaths: the path of the key
}

func (w *walker) problem(p Problem) { w.report.Problems = append(w.report.Problems, p) }

// warn says a text once, with all paths that it is about.
func (w *walker) warn(path, text string) {
	if i, found := w.warned[text]; found {
		w.report.Warnings[i].Path += ", " + path
		return
	}
	w.warned[text] = len(w.report.Warnings)
	w.report.Warnings = append(w.report.Warnings, Warning{Path: path, Text: text})
}

// visit reads the value of one key.
func (w *walker) visit(s *spec, n *node, path string, t *target) {
	if n.kind == nullNode || n.broken {
		return
	}
	w.nodes[path] = n
	var value any
	if !s.section() {
		var problem *Problem
		if value, problem = s.kind(n); problem != nil {
			if s.hidden {
				problem = &Problem{Wrong: "has the wrong type", Want: "a text"}
			}
			w.problem(problem.at(n.Pos, path))
			return
		}
		if s.into != nil {
			assign(s.into(t), value)
		}
	}
	switch s.state {
	case refused:
		if !n.empty() {
			w.problem(Problem{Pos: n.Pos, Path: path, Wrong: s.text, Got: n.names(), Want: s.want})
		}
	case ignored, enabled:
		if s.missed(n, value) {
			w.warn(path, s.text)
		}
	}
	if s.section() {
		w.section(s, n, path, t)
	}
}

func (w *walker) section(s *spec, n *node, path string, t *target) {
	if s.item != nil {
		w.list(s, n, path, t)
		return
	}
	if n.kind != mapNode {
		w.problem(mistyped(n, "a mapping of keys").at(n.Pos, path))
		return
	}
	if s.children != nil && s.into != nil {
		mark(s.into(t))
	}
	if s.variants != nil {
		if s = w.variant(s, n, path); s == nil || s.state == refused {
			return
		}
		if s.into != nil {
			assign(s.into(t), s.name)
		}
	}
	seen := map[string]Pos{}
	for _, m := range n.members {
		name := m.name
		if s.each == nil {
			name = fold(name) // names that the user chooses keep their case
		}
		if first, again := seen[name]; again {
			w.problem(Problem{Pos: m.Pos, Path: join(path, showKey(m.name)), Wrong: "is there twice", Got: fmt.Sprintf("it in line %d too", first.Line), Want: "it once"})
			continue
		}
		seen[name] = m.Pos
		w.member(s, n, m, path, t)
	}
}

// member reads one key of a section.
func (w *walker) member(s *spec, n *node, m member, path string, t *target) {
	if s.each != nil {
		if s.into != nil {
			w.subPath(s, m, path, t)
			return
		}
		if s.named != nil {
			t = s.named(t, m.name)
		}
		w.visit(s.each, m.value, join(path, showKey(m.name)), t)
		return
	}
	if child := s.children[fold(m.name)]; child != nil {
		w.visit(child, m.value, join(path, child.name), t)
		return
	}
	if base, isFile := strings.CutSuffix(fold(m.name), "file"); isFile && s.children[base] != nil && s.children[base].hidden {
		child := s.children[base]
		filePath := join(path, child.name+"File")
		if m.value.kind == nullNode || m.value.broken {
			return
		}
		if direct := n.member(base); direct != nil && direct.kind != nullNode {
			w.problem(Problem{Pos: m.Pos, Path: filePath, Wrong: "gives a secret that " + child.name + " gives too", Want: "one of the two"})
			return
		}
		w.nodes[join(path, child.name)] = m.value
		w.secretFrom(child, m.value, filePath, t)
		return
	}
	w.unknown(s, m, path)
}

// subPath reads a store of its own.
func (w *walker) subPath(s *spec, m member, path string, t *target) {
	stores := s.into(t).(*map[string]Store)
	route := strings.Trim(m.name, "/")
	at := join(path, showKey(m.name))
	if m.value.kind == nullNode || m.value.broken {
		return
	}
	if !isRepositoryPath(route) {
		w.problem(Problem{Pos: m.Pos, Path: at, Wrong: "is not the path of repositories", Got: show(m.name), Want: `a path of lower-case names, as "/team"`})
	}
	if _, again := (*stores)[route]; again {
		w.problem(Problem{Pos: m.Pos, Path: at, Wrong: "is the same path as another", Want: "it once"})
	}
	store := defaultStore()
	w.visit(s.each, m.value, at, &target{config: t.config, store: &store})
	if *stores == nil {
		*stores = map[string]Store{}
	}
	(*stores)[route] = store
	w.routes[route] = at
}

// list reads a list of sections. A single one stands for a list of one, as in zot.
func (w *walker) list(s *spec, n *node, path string, t *target) {
	items := n.items
	switch n.kind {
	case mapNode:
		items = []*node{n}
	case listNode:
	default:
		w.problem(mistyped(n, "a list of mappings").at(n.Pos, path))
		return
	}
	for i, item := range items {
		to := t
		if s.item.add != nil {
			to = s.item.add(t) // also for an item without anything in it
		}
		w.visit(s.item, item, fmt.Sprintf("%s[%d]", path, i), to)
	}
}

// variant chooses the keys of a driver by its name, and returns nil when there is none of that name.
func (w *walker) variant(s *spec, n *node, path string) *spec {
	var names []string
	for _, v := range s.variants {
		if v.state != refused {
			names = append(names, v.name)
		}
	}
	want := strings.Join(names, " or ")
	path = join(path, "name")
	name := n.member("name")
	if name == nil || name.kind == nullNode {
		if len(n.members) > 0 {
			w.problem(Problem{Pos: n.Pos, Path: path, Wrong: "is missing", Want: want})
		}
		return nil
	}
	if name.broken {
		return nil
	}
	if !name.scalar() {
		w.problem(mistyped(name, want).at(name.Pos, path))
		return nil
	}
	i := slices.IndexFunc(s.variants, func(v *spec) bool { return v.name == name.text })
	if i < 0 {
		w.problem(wrong(name, "is not a driver", want).at(name.Pos, path))
		return nil
	}
	v := s.variants[i]
	switch v.state {
	case refused:
		w.problem(Problem{Pos: name.Pos, Path: path, Wrong: v.text, Got: show(v.name), Want: v.want})
	case ignored:
		w.warn(strings.TrimSuffix(path, ".name"), v.text)
	}
	return v
}

// unknown reports a key that nobody knows, with the key that was probably meant. Its value may be a secret.
func (w *walker) unknown(s *spec, m member, path string) {
	var names []string
	for _, child := range s.order {
		names = append(names, child.name)
		if child.hidden {
			names = append(names, child.name+"File")
		}
	}
	want := ""
	if near := nearest(strings.TrimSuffix(showKey(m.name), "…"), names); near != "" {
		want = show(near)
		w.meant[join(path, strings.TrimSuffix(near, "File"))] = true
	} else if elsewhere := w.find(w.root, fold(m.name), ""); elsewhere != "" {
		want = elsewhere + ", if that is what is meant"
	} else if len(names) > 0 && len(names) <= 12 {
		want = "one of " + strings.Join(names, ", ")
	}
	w.problem(Problem{Pos: m.Pos, Path: join(path, showKey(m.name)), Wrong: "is not a key", Got: show(showKey(m.name)), Want: want})
}

// find returns the path of an honoured key of that name anywhere in the table, or "".
func (w *walker) find(s *spec, lower, path string) string {
	for _, child := range s.order {
		at := join(path, child.name)
		if fold(child.name) == lower && child.into != nil {
			return at
		}
		if found := w.find(child, lower, at); found != "" {
			return found
		}
	}
	for _, v := range s.variants {
		if found := w.find(v, lower, path); found != "" {
			return found
		}
	}
	return ""
}

// isRepositoryPath reports whether path is names joined by single slashes, each of lower-case letters,
// digits and, between them, separators. Spec: "Pulling manifests", <name>.
func isRepositoryPath(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || strings.Trim(part, "._-") != part || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "" {
			return false
		}
	}
	return len(path) <= 255
}
