package file_test

import (
	"errors"
	"io"
	"syscall"
	"testing"

	"holdfast/internal/data"
)

// limitFileSize makes writes of this process fail in a file beyond limit bytes, as on a full disk, until
// the test ends. No other test may run meanwhile.
func limitFileSize(t *testing.T, limit uint64) {
	t.Helper()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			t.Error(err)
		}
	})
}

func TestFullDisk(t *testing.T) {
	dir := newDir(t)
	store := open(t, dir)
	put(t, store, id, []byte("content"))
	limitFileSize(t, 100_000)
	const other = data.ID("fedcba9876543210fedcba9876543210")
	w, err := store.Create(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 60_000)); err != nil {
		t.Fatal(err)
	}
	n, err := w.Write(make([]byte, 60_000))
	if n != 40_000 || !errors.Is(err, data.ErrUnavailable) {
		t.Errorf("write into a full disk: %d, %v", n, err)
	}
	if got := files(t, dir); len(got) != 1 {
		t.Errorf("files after the error: %v", got)
	}
	if _, err := w.Write([]byte("more")); !errors.Is(err, data.ErrUnavailable) {
		t.Errorf("write again: %v", err)
	}
	if _, err := w.Commit(t.Context()); !errors.Is(err, data.ErrUnavailable) {
		t.Errorf("commit: %v", err)
	}
	w.Abort()
	if _, err := store.Stat(t.Context(), other); !errors.Is(err, data.ErrNotFound) {
		t.Errorf("stat: %v", err)
	}
	r, err := store.Open(t.Context(), id, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if content, err := io.ReadAll(r); err != nil || string(content) != "content" {
		t.Errorf("the other segment holds %q, %v", content, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	put(t, store, other[:31]+"1", make([]byte, 60_000))
}
