package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// credentials reads a file that holds a name and a secret, as zot has them: a JSON or YAML mapping of the fields, all of them, and nothing else. What is in
// it no problem shows.
func (w *walker) credentials(file, path string, fields map[string]func(string)) {
	names := strings.Join(slices.Sorted(maps.Keys(fields)), " and ")
	bad := func(what, want string) {
		w.problem(Problem{Pos: w.place(path), Path: path, Wrong: what, Want: want})
	}
	secret, err := w.readSecret(file)
	if err != nil {
		bad("cannot be read: "+err.Error(), "")
		return
	}
	if secret.mode.Perm()&0o077 != 0 && !w.credential(file) {
		w.warn(path, fmt.Sprintf("the file has mode %04o, others than its owner may use it: give it 0600 or 0400", secret.mode.Perm()))
	}
	if strings.TrimSpace(secret.text) == "" {
		bad("the file is empty", names+" in it")
		return
	}
	n, problem := parse(file, []byte(secret.text))
	if problem != nil {
		bad("the file is neither JSON nor YAML", "a mapping with "+names)
		return
	}
	missing := maps.Clone(fields)
	for _, m := range n.members {
		set := ""
		for name := range missing {
			if fold(name) == fold(m.name) {
				set = name
			}
		}
		switch {
		case set == "":
			bad("the file has a key that is not known, or one twice", names)
			return
		case !m.value.scalar():
			bad("the file has no text for "+set, names)
			return
		}
		if text := strings.TrimRight(m.value.text, "\r\n"); text != "" {
			missing[set](text)
			delete(missing, set)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		bad("the file has no "+name, names)
	}
}
