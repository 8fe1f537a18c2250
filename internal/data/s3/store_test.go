package s3_test

import (
	"testing"

	"holdfast/internal/data"
	"holdfast/internal/data/datatest"
	datas3 "holdfast/internal/data/s3"
	"holdfast/internal/s3"
	"holdfast/internal/s3/s3test"
)

func newBudget(t *testing.T, bytes int64) *datas3.Budget {
	t.Helper()
	b, err := datas3.NewBudget(bytes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if used, _ := b.InUse(); used != 0 {
			t.Errorf("%d bytes of the budget are still in use", used)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestStore(t *testing.T) {
	s3test.Each(t, func(t *testing.T, server s3test.Server) {
		const parts = 7
		datatest.Options{PartSize: s3.MinPartSize, MaxBytes: parts * s3.MinPartSize}.Run(t, func(t *testing.T) data.Store {
			client := server.Client(t, func(c *s3.Config) { c.PartSize = s3.MinPartSize })
			store := datas3.New(client, "", newBudget(t, 64<<20))
			store.LimitParts(parts)
			return store
		})
	})
}
