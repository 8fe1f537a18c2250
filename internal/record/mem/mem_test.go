package mem_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/record"
	"holdfast/internal/record/mem"
	"holdfast/internal/record/recordtest"
)

func TestStore(t *testing.T) {
	suite := recordtest.Options{ConditionalDelete: true}
	suite.Run(t, func(*testing.T) record.Store { return mem.New(mem.Config{}) })
}

func TestStoreOfSmallPages(t *testing.T) {
	suite := recordtest.Options{ConditionalDelete: true}
	suite.Run(t, func(*testing.T) record.Store { return mem.New(mem.Config{PageSize: 1}) })
}

// In a bubble a goroutine or a timer left behind, or a wait on anything outside, would end the test.
func TestStoreInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Config{})
		start := store.Now()
		time.Sleep(time.Hour)
		stamp, err := store.Put(t.Context(), "a/b", []byte("1"), record.IfAbsent())
		if err != nil {
			t.Fatal(err)
		}
		if got := stamp.Modified.Sub(start); got != time.Hour {
			t.Errorf("written %s after the start, want 1h", got)
		}
	})
}

func TestClockThatIsMoved(t *testing.T) {
	start := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	now := start
	store := mem.New(mem.Config{Clock: func() time.Time { return now }})
	version := record.Version("")
	cond := record.IfAbsent()
	for _, move := range []struct {
		by, want time.Duration // want: Modified, from the start
	}{
		{0, 0}, {time.Hour, time.Hour}, {-30 * time.Minute, time.Hour}, {29 * time.Minute, time.Hour}, {2 * time.Minute, 61 * time.Minute},
	} {
		now = now.Add(move.by)
		if version != "" {
			cond = record.IfVersion(version)
		}
		stamp, err := store.Put(t.Context(), "k", []byte("v"), cond)
		if err != nil {
			t.Fatal(err)
		}
		if got := stamp.Modified.Sub(start); got != move.want || !store.Now().Equal(stamp.Modified) {
			t.Errorf("after a move by %s: Modified %s from the start, Now %s, want both %s", move.by, got, store.Now().Sub(start), move.want)
		}
		version = stamp.Version
	}
}

func TestWhatTheContractRulesOut(t *testing.T) {
	store := mem.New(mem.Config{})
	if _, err := store.Put(t.Context(), "a/b/c", []byte("v"), record.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	for _, key := range []record.Key{
		"", "/", "a", "a/b", "a/b/c/d", "/a/x", "a//x", "a/", "a/./x", "a/../x", "a/é", "a/\n",
		"x/" + record.Key(strings.Repeat("x", 256)),
	} {
		if _, err := store.Put(t.Context(), key, []byte("v"), record.IfAbsent()); err == nil {
			t.Errorf("put %q: no error", key)
		}
	}
	for _, value := range [][]byte{nil, make([]byte, 5<<20+1)} {
		if _, err := store.Put(t.Context(), "x", value, record.IfAbsent()); err == nil {
			t.Errorf("put of %d bytes: no error", len(value))
		}
	}
	for _, c := range [][2]record.Key{{"", ""}, {"a", ""}, {"/", ""}, {"a/", "b"}, {"a//", ""}} {
		err := error(nil)
		for _, e := range store.List(t.Context(), c[0], c[1]) {
			err = e
		}
		if err == nil {
			t.Errorf("list %q after %q: no error", c[0], c[1])
		}
	}
}
