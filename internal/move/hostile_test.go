//go:build unix

package move_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"holdfast/internal/move"
	"holdfast/internal/move/movetest"
)

// TestPipe: a pipe, or a folder, in the place of a blob is a problem, and nothing that an import waits at for ever.
func TestPipe(t *testing.T) {
	images := movetest.Images(2)
	from, _ := filled(t, images)
	for _, make := range []func(string) error{
		func(path string) error { return syscall.Mkfifo(path, 0o600) },
		func(path string) error { return os.Mkdir(path, 0o750) },
	} {
		dir := t.TempDir()
		if _, err := move.Export(t.Context(), from, layout(t, dir), []string{string(images[0].Repository) + ":" + string(images[0].Tags[0])}, nil); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "blobs", "sha256", images[0].Digest.Encoded())
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		r := do(t, movetest.New(t, nil), move.Request{Do: move.OpImport, Place: "oci-layout:" + dir, Repository: "a"}, 1)
		if !strings.Contains(r.Problems[0].Err, "it is no file") {
			t.Errorf("%+v", r)
		}
	}
}

// TestPrintedNames: a name of another registry cannot move the cursor of the terminal that it is shown at.
func TestPrintedNames(t *testing.T) {
	r := move.Report{Problems: []move.Problem{{Repository: "a", Tag: "b\x1b[2J\n", Err: "no \u009b"}, {Err: "nothing"}}}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if text := b.String(); strings.ContainsAny(text, "\x1b\u009b") || !strings.Contains(text, "not copied: a:b\ufffd[2J\ufffd: no \ufffd\nnot copied: nothing\n") {
		t.Errorf("%q", text)
	}
}
