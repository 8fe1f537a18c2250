package simulate

import (
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

// names gives keys names that are the same in every run and that people can read: "link a L1". Random ids
// are numbered in the order in which operations with them appear.
type names struct {
	known map[string]string // by digest's hex, or random id
	keys  map[string]string // by key
	count map[string]int    // by kind
}

func newNames() *names {
	return &names{known: map[string]string{}, keys: map[string]string{}, count: map[string]int{}}
}

// learn names a digest.
func (n *names) learn(d digest.Digest, name string) { n.known[d.Encoded()] = name }

// digest returns the name of a digest.
func (n *names) digest(d digest.Digest) string {
	if name, ok := n.known[d.Encoded()]; ok {
		return name
	}
	return string(d)
}

// name names an operation: what it is about, and the whole. Ids that nobody has heard of before have no
// number unless number is set.
func (n *names) name(o *op, number bool) {
	o.what = n.key(o.verb, o.key, number)
	o.where = o.where[:0]
	for _, folder := range o.folders {
		o.where = append(o.where, n.key(verbList, folder, number))
	}
	o.name = o.by.name + " " + o.verb.String() + " " + o.what
}

// key names a key, or a segment's id.
func (n *names) key(v verb, key string, number bool) string {
	if name, ok := n.keys[key]; ok {
		return name
	}
	name, final := n.describe(v, key, number)
	if final {
		n.keys[key] = name
	}
	return name
}

func (n *names) describe(v verb, key string, number bool) (name string, final bool) {
	switch v {
	case verbBegin, verbPass:
		return key, true
	case verbCommit, verbOpen, verbStat, verbDrop:
		return n.random("segment", key, number)
	}
	parts := strings.Split(key, "/")
	if broad := map[string]int{"l": 4, "b": 3, "r": 5, "u": 3, "h": 2}[parts[0]]; v == verbList && (len(parts) < broad || parts[0] == "u" || parts[0] == "h") {
		return "list " + key, true
	}
	switch parts[0] {
	case "h":
		return n.random("hint", parts[len(parts)-1], number)
	case "u":
		return n.random("upload", parts[len(parts)-1], number)
	case "b":
		return "record " + n.part(parts[2]), true
	case "l":
		return strings.TrimSpace("link " + n.part(parts[2]) + " " + parts[3]), true
	case "n":
		return "repository " + parts[1], true
	case "r":
		kind := map[string]string{"m": "manifest", "t": "tag", "s": "referrers", "g": "marker", "f": "fence"}[parts[3]]
		name := kind + " " + parts[2]
		for _, p := range parts[4:] {
			name += " " + n.part(p)
		}
		return strings.TrimSpace(name), true
	}
	return key, true
}

// part names a part of a key, when it is a digest that has a name.
func (n *names) part(p string) string {
	if _, hex, found := strings.Cut(p, "-"); found {
		if name, ok := n.known[hex]; ok {
			return name
		}
	}
	return p
}

// random names a random id.
func (n *names) random(kind, id string, number bool) (string, bool) {
	if name, ok := n.known[id]; ok {
		return name, true
	}
	if !number {
		return kind + " ?", false
	}
	n.count[kind]++
	n.known[id] = fmt.Sprintf("%s #%d", kind, n.count[kind])
	return n.known[id], true
}
