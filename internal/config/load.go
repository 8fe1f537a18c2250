package config

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// Load reads zot's configuration file: JSON or YAML, by its extension, or by trying where the extension
// says neither. env looks up environment variables, as os.LookupEnv does; nil stands for none. What the
// file does not say has zot's default, but for these: storage.commit is true and log.level is info.
//
// The Report lists all problems of the file and all warnings. Where there are problems, the Config is nil
// and the error is Report.Err(). For a file that is not there, errors.Is(err, fs.ErrNotExist).
func Load(path string, env func(string) (string, bool)) (*Config, Report, error) {
	text, err := readFile(path)
	if err != nil {
		r := Report{Problems: []Problem{{Pos: Pos{File: path}, Wrong: "cannot be read: " + err.Error(), Err: err}}}
		return nil, r, r.Err()
	}
	return load(path, text, env, readSecretFile)
}

// readFile reads one byte more than a file may have, and no more than that.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return text, err
}

func load(file string, text []byte, env func(string) (string, bool), readSecret func(string) (secretFile, error)) (*Config, Report, error) {
	if env == nil {
		env = func(string) (string, bool) { return "", false }
	}
	w := &walker{root: table(), env: env, readSecret: readSecret,
		warned: map[string]int{}, nodes: map[string]*node{}, routes: map[string]string{}, meant: map[string]bool{}}
	c := beforeFile()
	if n, problem := parse(file, text); problem != nil {
		w.problem(*problem)
	} else {
		w.nodes[""] = n
		w.expand(n, "")
		w.section(w.root, n, "", &target{config: c, store: &c.Storage.Store})
		w.finish(c)
	}
	slices.SortStableFunc(w.report.Problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if err := w.report.Err(); err != nil {
		return nil, w.report, err
	}
	return c, w.report, nil
}

// parse returns the mapping that a file is.
func parse(file string, text []byte) (*node, *Problem) {
	if len(text) > maxFileBytes {
		return nil, &Problem{Pos: Pos{File: file}, Wrong: "is too large", Want: fmt.Sprintf("at most %d bytes", maxFileBytes)}
	}
	if !utf8.Valid(text) {
		line := 1
		for rest := text; ; line++ {
			first, after, _ := bytes.Cut(rest, []byte("\n"))
			if !utf8.Valid(first) {
				break
			}
			rest = after
		}
		return nil, &Problem{Pos: Pos{File: file, Line: line}, Wrong: "is not UTF-8 text", Want: "JSON or YAML in UTF-8"}
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	read := parseYAML
	switch strings.ToLower(filepath.Ext(file)) {
	case ".json":
		read = parseJSON
	case ".toml", ".hcl", ".env", ".dotenv", ".ini", ".properties", ".props", ".prop", ".tfvars":
		return nil, &Problem{Pos: Pos{File: file}, Wrong: "is in a format that is not read here", Got: filepath.Ext(file), Want: ".json, .yaml or .yml"}
	case ".yaml", ".yml":
		if startsJSON(text) && json.Valid(text) { // which is YAML, but for tabs
			read = parseJSON
		}
	default:
		if startsJSON(text) {
			if _, problem := parseYAML(file, text); problem != nil || json.Valid(text) {
				read = parseJSON
			}
		}
	}
	n, problem := read(file, text)
	if problem != nil {
		return nil, problem
	}
	if n == nil || n.kind == nullNode {
		return nil, &Problem{Pos: Pos{File: file}, Wrong: "is empty", Want: "at least storage.rootDirectory"}
	}
	if n.kind != mapNode {
		p := mistyped(n, "a mapping of keys").at(n.Pos, "")
		return nil, &p
	}
	return n, nil
}

func startsJSON(text []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) }
