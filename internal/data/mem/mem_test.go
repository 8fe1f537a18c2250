package mem_test

import (
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/data"
	"holdfast/internal/data/datatest"
	"holdfast/internal/data/mem"
)

func TestStore(t *testing.T) {
	const limit = 24<<20 + 5
	suite := datatest.Options{MaxBytes: limit}
	suite.Run(t, func(*testing.T) data.Store { return mem.New(mem.Config{MaxBytes: limit}) })
}

func TestIDs(t *testing.T) {
	store := mem.New(mem.Config{})
	const id = data.ID("0123456789abcdef0123456789abcdef")
	if _, err := store.Create(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for _, id := range []data.ID{id, "", id + "0", id[1:], "0123456789ABCDEF0123456789abcdef", "../../../../../../../etc/passwdx"} {
		if _, err := store.Create(t.Context(), id); err == nil {
			t.Errorf("create %q: no error", id)
		}
	}
}

func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Config{})
		start := time.Now()
		time.Sleep(time.Hour)
		w, err := store.Create(t.Context(), "0123456789abcdef0123456789abcdef")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		for entry, err := range store.List(t.Context(), "") {
			if age := entry.Modified.Sub(start); err != nil || age != time.Hour {
				t.Errorf("written %s after the start, %v, want 1h", age, err)
			}
		}
	})
}
