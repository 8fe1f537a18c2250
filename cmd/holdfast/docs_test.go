package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var (
	inCode  = regexp.MustCompile("`([^`\n]+)`|(?m:^(?:\\$ |# )?((?:bin/)?holdfast [a-z].*)$)")
	ofOurs  = regexp.MustCompile(`(?:^|[/ (])holdfast ([a-z][a-z0-9]*(?:[ =].*)?)$`)
	longOpt = regexp.MustCompile(`^--([a-z][a-z-]*)`)
)

// TestPagesNameCommands: commands and flags that a page names exist. What follows "holdfast" in code is one, as in `holdfast gc --dry-run`.
func TestPagesNameCommands(t *testing.T) {
	found := 0
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "bin" || entry.Name() == "testdata"):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range inCode.FindAllStringSubmatch(string(text), -1) {
			code, _, _ := strings.Cut(m[1]+m[2], "  #")
			ours := ofOurs.FindStringSubmatch(code)
			if ours == nil || strings.HasPrefix(code, "helm ") {
				continue
			}
			found++
			if problem := unknownIn(strings.Fields(ours[1])); problem != "" {
				t.Errorf("%s: %s: %s", path, code, problem)
			}
		}
		return nil
	})
	if err != nil || found < 40 {
		t.Fatalf("%d commands, %v", found, err)
	}
}

// unknownIn says what of a command line there is not.
func unknownIn(words []string) string {
	cmd := newRoot()
	for i, word := range words {
		var next *cobra.Command
		for _, c := range cmd.Commands() {
			if c.Name() == word {
				next = c
			}
		}
		if next == nil {
			if i == 0 || !cmd.Runnable() {
				return "there is no command " + word
			}
			break
		}
		cmd = next
	}
	for _, word := range words {
		if m := longOpt.FindStringSubmatch(word); m != nil && cmd.Flags().Lookup(m[1]) == nil {
			return cmd.CommandPath() + " has no flag --" + m[1]
		}
	}
	return ""
}
