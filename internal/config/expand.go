package config

import (
	"fmt"
	"strings"
)

// expand replaces ${NAME} and ${NAME:-default} in all texts below n by what the environment says. A
// variable that is set and empty is empty; the default is for one that is not set. $${ stands for ${, and
// any other $ for itself. Names of keys are left alone.
func (w *walker) expand(n *node, path string) {
	switch n.kind {
	case textNode:
		if !strings.Contains(n.text, "${") {
			return
		}
		text, used, problem := substitute(n.text, w.env, maxFileBytes-w.expanded)
		w.expanded += len(text)
		if problem != nil {
			problem.Pos, problem.Path = n.Pos, path
			w.problem(*problem)
			n.broken = true
			return
		}
		if used {
			n.raw = n.text
		}
		n.text = text
	case listNode:
		for i, item := range n.items {
			w.expand(item, fmt.Sprintf("%s[%d]", path, i))
		}
	case mapNode:
		for _, m := range n.members {
			w.expand(m.value, join(path, showKey(m.name)))
		}
	}
}

// substitute returns the text with its variables replaced, at most limit bytes, and whether there were any
// variables. What stands between the braces is shown only where it is a name.
func substitute(text string, env func(string) (string, bool), limit int) (string, bool, *Problem) {
	var b strings.Builder
	used := false
	for {
		before, rest, found := strings.Cut(text, "${")
		if b.Len()+len(before) > limit {
			return "", false, &Problem{Wrong: "makes the file too large with what the environment says", Want: fmt.Sprintf("at most %d bytes", maxFileBytes)}
		}
		if !found {
			b.WriteString(text)
			return b.String(), used, nil
		}
		if strings.HasSuffix(before, "$") {
			b.WriteString(before + "{")
			text = rest
			continue
		}
		b.WriteString(before)
		inner, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", false, &Problem{Wrong: "has a ${ that is not closed", Want: "${NAME}, ${NAME:-default}, or $${ for the text ${"}
		}
		name, fallback, hasFallback := strings.Cut(inner, ":-")
		if !isVariable(name) {
			return "", false, &Problem{Wrong: "has a ${...} without a variable's name", Want: "${NAME}, ${NAME:-default}, or $${ for the text ${"}
		}
		value, set := env(name)
		if !set && !hasFallback {
			return "", false, &Problem{
				Wrong: "the environment variable " + clip(name) + " is not set",
				Want:  "it set, or ${" + clip(name) + ":-default}",
			}
		}
		if !set {
			value = fallback
		}
		b.WriteString(value)
		text, used = after, true
	}
}

// isVariable reports whether name is one that a shell could set.
func isVariable(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// join appends a name to the path of a key.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
