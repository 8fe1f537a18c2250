package bolt_test

import (
	"crypto/rand"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/record"
	"holdfast/internal/record/bolt"
)

// BenchmarkPut creates records of 1,024 bytes, as most of a registry's are.
func BenchmarkPut(b *testing.B) {
	for _, delay := range []time.Duration{0, 50 * time.Millisecond} {
		for _, writers := range []int{1, 4, 16, 64} {
			b.Run(fmt.Sprintf("delay=%s/writers=%d", delay, writers), func(b *testing.B) {
				store := open(b, bolt.Config{Dir: b.TempDir(), GroupDelay: delay})
				var next atomic.Int64
				done := make(chan error)
				b.ResetTimer()
				for range writers {
					go func() {
						value := make([]byte, 1024)
						for {
							i := next.Add(1)
							if i > int64(b.N) {
								done <- nil
								return
							}
							_, _ = rand.Read(value[:16])
							key := record.Key(fmt.Sprintf("b/%02x/sha256-%064x", i*7919%256, i))
							if _, err := store.Put(b.Context(), key, value, record.IfAbsent()); err != nil {
								done <- err
								return
							}
						}
					}()
				}
				for range writers {
					if err := <-done; err != nil {
						b.Error(err)
					}
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
			})
		}
	}
}

// BenchmarkGet reads records of 1,024 bytes from as many goroutines as there are processors.
func BenchmarkGet(b *testing.B) {
	store := open(b, bolt.Config{Dir: b.TempDir()})
	const keys = 1000
	for i := range keys {
		if _, err := store.Put(b.Context(), record.Key(fmt.Sprintf("k/%d", i)), make([]byte, 1024), record.IfAbsent()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := store.Get(b.Context(), record.Key(fmt.Sprintf("k/%d", i%keys))); err != nil {
				b.Error(err)
			}
		}
	})
}
