package bolt_test

import (
	"testing"
	"time"

	"holdfast/internal/record"
	"holdfast/internal/record/bolt"
	"holdfast/internal/record/recordtest"
)

// open opens the store of dir and closes it when the test ends.
func open(t testing.TB, cfg bolt.Config) *bolt.Store {
	t.Helper()
	store, err := bolt.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func TestStore(t *testing.T) {
	for name, delay := range map[string]time.Duration{"at once": 0, "in groups": 50 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			suite := recordtest.Options{ConditionalDelete: true}
			suite.Run(t, func(t *testing.T) record.Store {
				return open(t, bolt.Config{Dir: t.TempDir(), GroupDelay: delay})
			})
		})
	}
}
