package move_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/move"
	"holdfast/internal/move/movetest"
)

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
	symlink(t, to, from)
}

func symlink(t *testing.T, to, name string) {
	t.Helper()
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
}

// TestLinks: storage that is spread over disks by symbolic links is imported as if it were in one place; and a link in a circle ends.
func TestLinks(t *testing.T) {
	images := movetest.Images(12)
	for kind, write := range map[string]func(dir string) (folder string){
		"zot": func(dir string) string {
			movetest.Zot(t, dir, false, images)
			return string(images[0].Repository)
		},
		"distribution": func(dir string) string {
			movetest.Distribution(t, dir, images)
			return "docker/registry/v2/repositories/" + string(images[0].Repository)
		},
	} {
		t.Run(kind, func(t *testing.T) {
			dir, disk := filepath.Join(t.TempDir(), "registry"), t.TempDir()
			folder := write(dir)
			rename(t, filepath.Join(dir, folder), filepath.Join(disk, "repository"))
			rename(t, dir, filepath.Join(disk, "all"))
			symlink(t, filepath.Join(disk, "all"), filepath.Join(disk, "repository", "circle"))
			to := movetest.New(t, nil)
			do(t, to, move.Request{Do: move.OpImport, Place: kind + ":" + dir}, 0)
			movetest.Check(t, to, "", images)

			if err := os.RemoveAll(filepath.Join(disk, "repository")); err != nil {
				t.Fatal(err)
			}
			r, err := move.Do(t.Context(), move.Deps{Registry: movetest.New(t, nil)}, move.Request{Do: move.OpImport, Place: kind + ":" + dir}, nil)
			if err == nil || !strings.Contains(err.Error(), filepath.Base(folder)) {
				t.Errorf("a link that leads nowhere: %+v, %v", r, err)
			}
		})
	}
}

// TestWrongDirectory: a directory that is no registry's is not imported with success.
func TestWrongDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "docker", "registry", "v2"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "docker", "registry", "v2", "a"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"zot:", "distribution:"} {
		do(t, movetest.New(t, nil), move.Request{Do: move.OpImport, Place: kind + dir}, 1)
	}
}
