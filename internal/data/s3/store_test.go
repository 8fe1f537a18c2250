package s3_test

import (
	"context"
	"io"
	"iter"
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
			cfg := server.Config(t)
			cfg.PartSize = s3.MinPartSize
			budget := newBudget(t, 64<<20)
			store := datas3.New(server.Open(t, cfg), "", budget)
			store.LimitParts(parts)
			cfg.Endpoint = server.Endpoints[len(server.Endpoints)-1]
			return gateways{store, datas3.New(server.Open(t, cfg), "", budget)}
		})
	})
}

// TestClients is the suite for the view that shares what it reads.
func TestClients(t *testing.T) {
	datatest.Options{PartSize: s3.MinPartSize}.Run(t, func(t *testing.T) data.Store {
		return datas3.New(s3test.Servers(t)[0].Client(t, func(c *s3.Config) { c.PartSize = s3.MinPartSize }), "", newBudget(t, 64<<20)).Clients()
	})
}

// gateways writes through one process of a store and reads through another.
type gateways struct {
	data.Store
	reads data.Store
}

func (g gateways) Open(ctx context.Context, id data.ID, offset, length int64) (io.ReadCloser, error) {
	return g.reads.Open(ctx, id, offset, length)
}

func (g gateways) Stat(ctx context.Context, id data.ID) (int64, error) { return g.reads.Stat(ctx, id) }

func (g gateways) List(ctx context.Context, after data.ID) iter.Seq2[data.Entry, error] {
	return g.reads.List(ctx, after)
}
