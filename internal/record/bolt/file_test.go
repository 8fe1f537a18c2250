package bolt_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/record"
	"holdfast/internal/record/bolt"
)

// must puts a value and returns its stamp.
func must(t *testing.T, store *bolt.Store, key record.Key, value string, cond record.Cond) record.Stamp {
	t.Helper()
	stamp, err := store.Put(t.Context(), key, []byte(value), cond)
	if err != nil {
		t.Fatal(err)
	}
	return stamp
}

func TestReopen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	store := open(t, bolt.Config{Dir: dir})
	first := must(t, store, "k", "1", record.IfAbsent())
	must(t, store, "gone", "1", record.IfAbsent())
	if err := store.Delete(t.Context(), "gone", record.Always()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := store.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	if _, err := store.Get(t.Context(), "k"); !errors.Is(err, record.ErrUnavailable) {
		t.Errorf("get after Close: %v", err)
	}
	if _, err := store.Put(t.Context(), "k", []byte("2"), record.IfVersion(first.Version)); !errors.Is(err, record.ErrUnavailable) {
		t.Errorf("put after Close: %v", err)
	}

	store = open(t, bolt.Config{Dir: dir})
	rec, err := store.Get(t.Context(), "k")
	if err != nil || string(rec.Value) != "1" || rec.Stamp != first {
		t.Errorf("get after a new start: %+v, %v, want %+v", rec, err, first)
	}
	if again := must(t, store, "gone", "2", record.IfAbsent()); again.Version == first.Version || again.Modified.Before(first.Modified) {
		t.Errorf("stamp after a new start: %+v, before it %+v", again, first)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Dir(dir): 0o700, filepath.Join(dir, "records.db"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want mode %v", path, info.Mode(), err, want)
		}
	}
}

func TestOneProcessPerDirectory(t *testing.T) {
	dir := t.TempDir()
	open(t, bolt.Config{Dir: dir})
	_, err := bolt.Open(t.Context(), bolt.Config{Dir: dir})
	if err == nil {
		t.Fatal("a second Open: no error")
	}
	want := fmt.Sprintf("bolt: %s/records.db is in use by another process: one process per directory; several replicas need S3 storage", dir)
	if !strings.HasPrefix(err.Error(), want) || !errors.Is(err, record.ErrUnavailable) {
		t.Errorf("a second Open: %v, want %s", err, want)
	}
}

// write makes a directory whose records.db has this content.
func write(t *testing.T, content []byte) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	path = filepath.Join(dir, "records.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, path
}

// A damaged file is refused, with its name and what to do.
func TestDamagedFile(t *testing.T) {
	dir := t.TempDir()
	store := open(t, bolt.Config{Dir: dir})
	for i := range 200 {
		must(t, store, record.Key(fmt.Sprintf("key/%03d", i)), strings.Repeat("v", 2000), record.IfAbsent())
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	intact, err := os.ReadFile(filepath.Join(dir, "records.db"))
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	used := (len(bytes.TrimRight(intact, "\x00")) + page - 1) / page * page
	intact = intact[:used] // the file is grown ahead
	for name, damage := range map[string]func([]byte) []byte{
		"no database":             func([]byte) []byte { return bytes.Repeat([]byte("text\n"), 10_000) },
		"short text":              func([]byte) []byte { return []byte("text\n") },
		"zeros":                   func(b []byte) []byte { return make([]byte, len(b)) },
		"both roots gone":         func(b []byte) []byte { clear(b[:2*page]); return b },
		"cut to a page":           func(b []byte) []byte { return b[:page] },
		"cut to its roots":        func(b []byte) []byte { return b[:2*page] },
		"cut in half":             func(b []byte) []byte { return b[:len(b)/2/page*page] },
		"other pages overwritten": func(b []byte) []byte { copy(b[2*page:], bytes.Repeat([]byte{0xa5}, len(b))); return b },
	} {
		t.Run(name, func(t *testing.T) {
			dir, path := write(t, damage(bytes.Clone(intact)))
			store, err := bolt.Open(t.Context(), bolt.Config{Dir: dir})
			if err == nil {
				t.Fatal(errors.Join(errors.New("open: no error"), store.Close()))
			}
			if !errors.Is(err, record.ErrUnavailable) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "restore the file from a backup") {
				t.Errorf("open: %v, want the file and the remedy", err)
			}
		})
	}
	t.Run("a flipped bit in a value", func(t *testing.T) {
		flipped := bytes.Clone(intact)
		for at := 0; ; at += 1000 { // freed pages included
			next := bytes.Index(flipped[at:], []byte("vvvvvvvv"))
			if next < 0 {
				break
			}
			at += next
			flipped[at+4] ^= 4
		}
		dir, path := write(t, flipped)
		store := open(t, bolt.Config{Dir: dir})
		found := 0
		for entry, err := range store.List(t.Context(), "key/", "") {
			if err != nil {
				t.Fatal(err)
			}
			rec, err := store.Get(t.Context(), entry.Key)
			switch {
			case err == nil && string(rec.Value) != strings.Repeat("v", 2000):
				t.Errorf("get %s returns other bytes than were put", entry.Key)
			case err != nil:
				found++
				if !errors.Is(err, record.ErrUnavailable) || !strings.Contains(err.Error(), path) {
					t.Errorf("get: %v, want the file in it", err)
				}
			}
		}
		if found == 0 {
			t.Error("no get found the flipped bits")
		}
	})
	t.Run("pages that vanish while it is open", func(t *testing.T) {
		dir, path := write(t, intact)
		store, err := bolt.Open(t.Context(), bolt.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, int64(2*page)); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Get(t.Context(), "key/100"); !errors.Is(err, record.ErrUnavailable) {
			t.Errorf("get: %v", err)
		}
		if _, err := store.Put(t.Context(), "new", []byte("v"), record.IfAbsent()); !errors.Is(err, record.ErrUnavailable) {
			t.Errorf("put: %v", err)
		}
		if _, err := store.Get(t.Context(), "key/100"); !errors.Is(err, record.ErrUnavailable) {
			t.Errorf("get after the put: %v", err)
		}
		_ = store.Close() // it may say so once more; it must return
	})
}
