package cached_test

import (
	"testing"
	"time"

	"holdfast/internal/format"
	"holdfast/internal/record/cached"
)

// BenchmarkLink is what a link costs that is remembered: in memory, with a look at the fence by one request for many; and in the shared cache, without the
// time on the way to it.
func BenchmarkLink(b *testing.B) {
	t := &testing.T{}
	shared := newMapCache()
	bucket := newBucket()
	open := func() *replica {
		return &replica{t: t, bucket: bucket, store: cached.New(b.Context(), bucket, cached.Config{Shared: shared, Budget: time.Second, Key: func() []byte { return secret }}, nil)}
	}
	r := open()
	r.values = format.Store{Records: r.store, Ages: format.DefaultAges()}
	if _, err := format.RaiseFence(b.Context(), r.values, repo); err != nil {
		b.Fatal(err)
	}
	head := format.Link{Size: 4, Segments: []format.Segment{{ID: "0123456789abcdef0123456789abcdef", Size: 4}}}
	head.State = format.Live
	if _, err := format.Write(b.Context(), r.values, linkKey, format.Stored[format.Link]{}, head, nil, false); err != nil {
		b.Fatal(err)
	}
	if err := r.store.Close(); err != nil { // waits for what it gives the shared cache
		b.Fatal(err)
	}
	b.Run("memory", func(b *testing.B) {
		ctx := format.RecallLinks(b.Context())
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.store.Get(ctx, linkKey); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("shared", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			cold := open()
			b.StartTimer()
			if _, err := cold.store.Get(format.RecallLinks(b.Context()), linkKey); err != nil {
				b.Fatal(err)
			}
		}
	})
}
