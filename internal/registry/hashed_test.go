package registry_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/internal/data"
	datafile "holdfast/internal/data/file"
	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// asFile reads a blob, whole or from an offset, and says whether it may leave as a file.
func asFile(t *testing.T, l *registry.Local, d oci.Digest, offset int64) (string, bool, error) {
	t.Helper()
	blob, err := l.Blob(t.Context(), "a", d)
	if err != nil {
		return "", false, err
	}
	r, err := blob.Bytes.Open(t.Context(), offset, blob.Size-offset)
	if err != nil {
		return "", false, err
	}
	_, file := r.(io.WriterTo)
	got, err := io.ReadAll(r)
	return string(got), file, errors.Join(err, r.Close())
}

// A whole blob leaves as a file once it was hashed, and not after its file changed: then it is hashed again, and found damaged.
func TestHashedFiles(t *testing.T) {
	s := newStores(t)
	dir := t.TempDir()
	segments, err := datafile.Open(t.Context(), datafile.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = segments.Close() })
	l := s.open(s.records, segments)
	d := s.push(l, "a", "a layer")
	whole := func(replica *registry.Local) bool {
		t.Helper()
		got, file, err := asFile(t, replica, d, 0)
		if err != nil || got != "a layer" {
			t.Fatalf("%q, %v", got, err)
		}
		return file
	}
	if whole(l) {
		t.Error("it leaves as a file before anybody hashed it")
	}
	for end := time.Now().Add(5 * time.Second); !whole(l); { // until it is as old as the kernel's times tell
		if time.Now().After(end) {
			t.Fatal("it does not leave as a file")
		}
	}
	if whole(s.open(s.records, segments)) {
		t.Error("another process has not hashed it")
	}
	if got, file, err := asFile(t, l, d, 2); got != "layer" || !file || err != nil {
		t.Errorf("a part: %q, %t, %v", got, file, err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "??", strings.Repeat("?", 32)))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	if err := os.WriteFile(found[0], []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, file, err := asFile(t, l, d, 0); err == nil || file || len(got) == len("a layer") {
		t.Errorf("after it was changed: %q, %t, %v", got, file, err)
	}
	if _, err := l.StatBlob(t.Context(), "a", d); !errors.Is(err, oci.ErrBlobUnknown) {
		t.Errorf("it is not marked: %v", err)
	}
}

// rotting has files that never look changed, whose bytes are damaged from some time on.
type rotting struct {
	data.Store
	rotten bool
}

func (s *rotting) Open(ctx context.Context, id data.ID, offset, length int64) (io.ReadCloser, error) {
	r, err := s.Store.Open(ctx, id, offset, length)
	if err == nil && s.rotten {
		r = flipped{r}
	}
	return unchanged{r}, err
}

type unchanged struct{ io.ReadCloser }

func (unchanged) Fingerprint() string { return "as ever" }

func (u unchanged) WriteTo(dst io.Writer) (int64, error) { return io.Copy(dst, u.ReadCloser) }

// A whole blob that could leave as a file, and is read here, is hashed all the same.
func TestHashedFilesThatAreRead(t *testing.T) {
	s := newStores(t)
	disk := &rotting{Store: s.segments}
	l := s.open(s.records, disk)
	d := s.push(l, "a", "a layer")
	for _, file := range []bool{false, true} {
		if got, now, err := asFile(t, l, d, 0); got != "a layer" || now != file || err != nil {
			t.Fatalf("%q, as a file: %t, %v; want %t", got, now, err, file)
		}
	}
	disk.rotten = true
	if got, _, err := asFile(t, l, d, 0); err == nil || len(got) == len("a layer") {
		t.Errorf("damaged bytes were served: %q, %v", got, err)
	}
}

// copies reads through copies that are damaged, until nobody trusts them.
type copies struct {
	data.Store
	distrusted int
}

func (c *copies) Open(ctx context.Context, id data.ID, offset, length int64) (io.ReadCloser, error) {
	r, err := c.Store.Open(ctx, id, offset, length)
	if err != nil || c.distrusted > 0 {
		return r, err
	}
	return aCopy{flipped{r}, c}, nil
}

type aCopy struct {
	io.ReadCloser
	of *copies
}

func (c aCopy) Distrust() { c.of.distrusted++ }

// A damaged copy says nothing about the blob: it is dropped, and the next read is the store's.
func TestADamagedCopy(t *testing.T) {
	s := newStores(t)
	pulls := &copies{Store: s.segments}
	l, err := registry.New(t.Context(), s.records, s.segments, registry.Config{Pulls: pulls}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	d := s.push(l, "a", "a layer")
	if _, err := read(t, l, "a", d); err == nil {
		t.Error("damaged bytes were served")
	}
	if got, err := read(t, l, "a", d); string(got) != "a layer" || err != nil || pulls.distrusted != 1 {
		t.Errorf("then: %q, %v, distrusted %d times", got, err, pulls.distrusted)
	}
	if _, err := l.StatBlob(t.Context(), "a", d); err != nil {
		t.Errorf("the blob is marked: %v", err)
	}
}
