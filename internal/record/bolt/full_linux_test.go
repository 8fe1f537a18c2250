package bolt_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"holdfast/internal/record"
	"holdfast/internal/record/bolt"
)

// limitFileSize makes writes of this process fail in a file beyond limit bytes, as on a full disk, until
// the returned function is called. No other test may run meanwhile.
func limitFileSize(t *testing.T, limit uint64) (lift func()) {
	t.Helper()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	lift = func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(lift)
	return lift
}

// On a full disk writes fail, reads go on, and nothing that was acknowledged is lost. With room again,
// writes go on without a new start.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	store := open(t, bolt.Config{Dir: dir})
	must(t, store, "first", "value", record.IfAbsent())
	info, err := os.Stat(filepath.Join(dir, "records.db"))
	if err != nil {
		t.Fatal(err)
	}
	lift := limitFileSize(t, uint64(info.Size()))

	value := strings.Repeat("v", 1<<20)
	acknowledged := map[record.Key]record.Version{}
	var full record.Key
	for i := range 100 {
		key := record.Key(fmt.Sprintf("k/%02d", i))
		stamp, err := store.Put(t.Context(), key, []byte(value), record.IfAbsent())
		if err != nil {
			if !errors.Is(err, record.ErrUnavailable) {
				t.Errorf("put into a full disk: %v", err)
			}
			full = key
			break
		}
		acknowledged[key] = stamp.Version
	}
	if full == "" || len(acknowledged) < 4 {
		t.Fatalf("the disk was full at %q, after %d MiB: want it full, but for a reserve", full, len(acknowledged))
	}
	check := func(store *bolt.Store) {
		t.Helper()
		if _, err := store.Get(t.Context(), full); !errors.Is(err, record.ErrNotFound) {
			t.Errorf("get of what did not fit: %v", err)
		}
		for key, version := range acknowledged {
			if rec, err := store.Get(t.Context(), key); err != nil || string(rec.Value) != value || rec.Version != version {
				t.Errorf("get %s: %d bytes, version %s, %v", key, len(rec.Value), rec.Version, err)
			}
		}
		if _, err := store.Get(t.Context(), "first"); err != nil {
			t.Error(err)
		}
	}
	check(store)
	lift()
	must(t, store, "after", value, record.IfAbsent())
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	store = open(t, bolt.Config{Dir: dir})
	check(store)
	if _, err := store.Get(t.Context(), "after"); err != nil {
		t.Error(err)
	}
}
