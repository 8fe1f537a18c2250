package plant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// Variable is the environment variable that names the bug that is awake.
const Variable = "HOLDFAST_PLANTED"

// Bug is one rule taken away.
type Bug struct {
	Name      string // the value of Variable
	Rule      string // what the code does without it
	Scenarios string // a pattern of the names of the scenarios that look for it; "" means all
	Edits     []Edit
}

// Edit replaces a text that occurs exactly once in a file.
type Edit struct {
	File     string // from the module's root
	Old, New string
}

// The packages that bugs are planted in get a file of their own, which says what bug is awake.
const switchFile = "planted_overlay.go"

const switchSource = `package %s

import "os"

var plantedName = os.Getenv("%s")

func planted(name string) bool { return plantedName == name }
`

func withSwitch(files map[string]string, dir string) {
	files[dir+"/"+switchFile] = fmt.Sprintf(switchSource, path.Base(dir), Variable)
}

// Overlay writes mutated copies of the module's files, with all bugs in them, asleep, into dir, and returns
// the path of the file for go build -overlay. root is the module's directory.
// Errors: one for each edit whose old text does not occur exactly once: bring it up to date.
func Overlay(root, dir string, bugs []Bug) (string, error) {
	files := map[string]string{}
	var errs []error
	for _, bug := range bugs {
		for _, edit := range bug.Edits {
			if err := apply(root, files, edit); err != nil {
				errs = append(errs, fmt.Errorf("plant: %s: %w: bring the bug up to date", bug.Name, err))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	replace := map[string]string{}
	for name, text := range files {
		to := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("plant: %w", err)
		}
		replace[filepath.Join(root, name)] = to
	}
	doc, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", fmt.Errorf("plant: %w", err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, doc, 0o600); err != nil {
		return "", fmt.Errorf("plant: %w", err)
	}
	return overlay, nil
}

// apply makes an edit in the copy of its file.
func apply(root string, files map[string]string, edit Edit) error {
	original, err := os.ReadFile(filepath.Join(root, edit.File))
	if err != nil {
		return err
	}
	text, ok := files[edit.File]
	if !ok {
		text = string(original)
	}
	for _, t := range []string{string(original), text} {
		if n := strings.Count(t, edit.Old); n != 1 {
			return fmt.Errorf("%s holds this text %d times, not once:\n%s", edit.File, n, edit.Old)
		}
	}
	files[edit.File] = strings.Replace(text, edit.Old, edit.New, 1)
	withSwitch(files, path.Dir(edit.File))
	return nil
}

// Build compiles a package of the module with all bugs in it into the file out: a program, or the tests of
// the package when test is set. The bug that Variable names is awake in it.
func Build(ctx context.Context, root, pkg, out string, test bool) error {
	dir, err := os.MkdirTemp("", "holdfast-planted-")
	if err != nil {
		return fmt.Errorf("plant: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // it is in the temporary directory
	overlay, err := Overlay(root, dir, Bugs())
	if err != nil {
		return err
	}
	args := []string{"build", "-p", "2"}
	if test {
		args = []string{"test", "-c", "-p", "2"}
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "-overlay", overlay, "-o", out, pkg)...)
	cmd.Dir = root
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("plant: build %s: %w\n%s", pkg, err, text)
	}
	return nil
}

// Root returns the module's directory.
func Root(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("plant: find the module: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
