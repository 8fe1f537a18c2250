package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFuzzTargets: docs/testing.md says of each fuzz target what it looks for, and names none that is not there.
func TestFuzzTargets(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/testing.md"))
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for _, name := range regexp.MustCompile("`(Fuzz[A-Za-z0-9]+)`").FindAllStringSubmatch(string(page), -1) {
		said[name[1]] = true
	}
	target := regexp.MustCompile(`(?m)^func (Fuzz[A-Za-z0-9_]+)\(f \*testing\.F\)`)
	for _, dir := range []string{"build", "cmd", "internal", "test"} {
		if err := filepath.WalkDir(filepath.Join(root, dir), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, name := range target.FindAllStringSubmatch(string(text), -1) {
				if !said[name[1]] {
					t.Errorf("%s: docs/testing.md does not say what %s looks for", path, name[1])
				}
				delete(said, name[1])
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	for name := range said {
		t.Errorf("docs/testing.md names %s, which is not there", name)
	}
}
