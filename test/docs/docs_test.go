package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// pages reads all pages of the project, by their paths.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "bin" || entry.Name() == "testdata"):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	})
	if err != nil || len(all) < 20 {
		t.Fatalf("%d pages, %v", len(all), err)
	}
	return all
}

var (
	fence   = regexp.MustCompile("(?ms)^```.*?^```")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	scheme  = regexp.MustCompile(`^[a-z]+:`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	noLabel = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
	inCode  = regexp.MustCompile("`((?:deploy|docs|internal|test|cmd|scripts|build)/[A-Za-z0-9_./@-]*)`")
	makes   = regexp.MustCompile("(?m)(?:^|`)make ([a-z][a-z-]*)")
	target  = regexp.MustCompile(`(?m)^([a-z][a-z-]*):`)
)

// anchors are those that a page's headings make.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		all[strings.ReplaceAll(noLabel.ReplaceAllString(strings.ToLower(strings.TrimSpace(m[1])), ""), " ", "-")] = true
	}
	return all
}

func TestLinks(t *testing.T) {
	all := pages(t)
	for page, text := range all {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			if scheme.MatchString(m[1]) {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			path := page
			if file != "" {
				path = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: %s: %v", page, m[1], err)
			} else if anchor != "" && strings.HasSuffix(path, ".md") && !anchors(all[path])[anchor] {
				t.Errorf("%s: %s: there is no such heading", page, m[1])
			}
		}
	}
}

func TestPaths(t *testing.T) {
	for page, text := range pages(t) {
		for _, m := range inCode.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

func TestMake(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, m := range target.FindAllStringSubmatch(string(makefile), -1) {
		targets[m[1]] = true
	}
	for page, text := range pages(t) {
		for _, m := range makes.FindAllStringSubmatch(text, -1) {
			if !targets[m[1]] {
				t.Errorf("%s: there is no make %s", page, m[1])
			}
		}
	}
}

// TestPagesAreFound: every page of docs is one that README.md or docs/operations.md leads to.
func TestPagesAreFound(t *testing.T) {
	all := pages(t)
	for page := range all {
		name := filepath.Base(page)
		if filepath.Dir(page) == filepath.Join(root, "docs") && name != "operations.md" &&
			!strings.Contains(all[filepath.Join(root, "README.md")], "docs/"+name) && !strings.Contains(all[filepath.Join(root, "docs", "operations.md")], "("+name) {
			t.Errorf("nothing leads to %s", page)
		}
	}
}
