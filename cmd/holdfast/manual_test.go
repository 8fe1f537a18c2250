package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestManual: there is a page of every command, with its options, and nothing in it that troff would take for a request.
func TestManual(t *testing.T) {
	dir := t.TempDir()
	if err := writeManual(newRoot(), dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"man1/holdfast.1":             ".BR holdfast\\-serve (1)",
		"man1/holdfast-gc.1":          ".B \\-\\-dry\\-run",
		"man1/holdfast-tag-restore.1": ".BR holdfast\\-tag (1)",
		"completions/holdfast":        "__start_holdfast",
		"completions/_holdfast":       "#compdef holdfast",
		"completions/holdfast.fish":   "complete -c holdfast",
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("%s: no %q", name, want)
		}
	}
	pages, err := filepath.Glob(filepath.Join(dir, "man1", "*.1"))
	if err != nil || len(pages) < 15 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	requests := []string{".TH", ".SH", ".TP", ".BR", ".B ", ".nf", ".fi"}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for l := range strings.Lines(string(text)) {
			known := !strings.HasPrefix(l, ".") && !strings.HasPrefix(l, "'")
			for _, r := range requests {
				known = known || strings.HasPrefix(l, r)
			}
			if !known {
				t.Errorf("%s: %q", filepath.Base(page), l)
			}
		}
	}
}

func TestConfigCommands(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte("storage: {rootDirectory: /r, storageDriver: {name: s3, bucket: b, accesskey: a, secretkey: hush}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"show " + file:    "bucket: b",
		"explain gcDelay": "storage.gcDelay (duration, 24h where the file does not say)",
		"schema":          "https://json-schema.org/draft/2020-12/schema",
		"reference":       "# Configuration",
	} {
		var out strings.Builder
		root := newRoot()
		root.SetArgs(append([]string{"config"}, strings.Fields(args)...))
		root.SetOut(&out)
		if err := root.Execute(); err != nil || !strings.Contains(out.String(), want) || strings.Contains(out.String(), "hush") {
			t.Errorf("%s: %v, %s", args, err, out.String())
		}
	}
	for args, code := range map[string]int{"explain nix": exitUsage, "show": exitUsage, "show " + file + ".not": exitConfig, "": exitUsage} {
		root := newRoot()
		root.SetArgs(append([]string{"config"}, strings.Fields(args)...))
		if err := root.Execute(); err == nil || exitCode(err) != code {
			t.Errorf("%s: %v", args, err)
		}
	}
}
