package s3_test

import (
	"context"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/record"
	"holdfast/internal/record/recordtest"
	records3 "holdfast/internal/record/s3"
	"holdfast/internal/s3"
	"holdfast/internal/s3/s3test"
)

func TestStore(t *testing.T) {
	s3test.Each(t, func(t *testing.T, server s3test.Server) {
		recordtest.Run(t, func(t *testing.T) record.Store {
			cfg := server.Config(t)
			var gateways gateways
			for _, endpoint := range server.Endpoints {
				cfg.Endpoint = endpoint
				gateways.stores = append(gateways.stores, records3.New(server.Open(t, cfg), ""))
			}
			return &gateways
		})
	})
}

// TestListSkipsTheStoresOwnFiles: versitygw replaces NAME through a file .NAME.sgwtmp.TIME beside it.
func TestListSkipsTheStoresOwnFiles(t *testing.T) {
	s3test.Each(t, func(t *testing.T, server s3test.Server) {
		client := server.Client(t)
		for _, key := range []string{"r/t/.a.sgwtmp.1", "r/t/a", "r/t/.z", "r/t/z"} {
			if _, err := client.PutValue(t.Context(), key, []byte(key), s3.Condition{Absent: true}); err != nil {
				t.Fatal(err)
			}
		}
		var got []record.Key
		for entry, err := range records3.New(client, "").List(t.Context(), "r/t/", "") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, entry.Key)
		}
		if want := []record.Key{"r/t/a", "r/t/z"}; !slices.Equal(got, want) {
			t.Errorf("List = %q, want %q", got, want)
		}
	})
}

// gateways is one store through several of its processes: each request goes to the next.
type gateways struct {
	stores []record.Store
	last   atomic.Uint64
}

func (g *gateways) next() record.Store {
	return g.stores[g.last.Add(1)%uint64(len(g.stores))]
}

func (g *gateways) Get(ctx context.Context, key record.Key) (record.Record, error) {
	return g.next().Get(ctx, key)
}

func (g *gateways) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	return g.next().Put(ctx, key, value, cond)
}

func (g *gateways) Delete(ctx context.Context, key record.Key, cond record.Cond) error {
	return g.next().Delete(ctx, key, cond)
}

func (g *gateways) List(ctx context.Context, prefix, after record.Key) iter.Seq2[record.Entry, error] {
	return g.next().List(ctx, prefix, after)
}

func (g *gateways) Now() (now time.Time) {
	for _, s := range g.stores {
		if t := s.Now(); t.After(now) {
			now = t
		}
	}
	return now
}
