package s3_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/data"
	datas3 "holdfast/internal/data/s3"
	"holdfast/internal/s3"
	"holdfast/internal/s3/s3test"
)

// BenchmarkPull reads segments as pulls do, hashed on their way, from the store itself (plain) and in shared chunks.
func BenchmarkPull(b *testing.B) {
	for _, c := range []struct {
		name           string
		clients        int
		same           bool
		size           int64
		latency        time.Duration
		bytesPerSecond int64 // of a connection; 0: as fast as it goes
	}{
		{"4 clients of 64 MiB", 4, false, 64 << 20, 0, 0},
		{"4 clients of 64 MiB, 10 ms", 4, false, 64 << 20, 10 * time.Millisecond, 0},
		{"1 client of 256 MiB, 80 MB per s, 10 ms", 1, false, 256 << 20, 10 * time.Millisecond, 80e6},
		{"64 clients of one segment of 256 MiB, 10 ms", 64, true, 256 << 20, 10 * time.Millisecond, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			var counted bytesCounter
			slow := func(next http.RoundTripper) http.RoundTripper {
				return counted.Wrap(limited(c.latency, c.bytesPerSecond)(next))
			}
			client := s3test.Servers(b)[0].Client(b, func(cfg *s3.Config) { cfg.Transport = slow })
			budget, err := datas3.NewBudget(0)
			if err != nil {
				b.Fatal(err)
			}
			store := datas3.New(client, "", budget)
			ids := make([]data.ID, c.clients)
			for i := range ids {
				if ids[i] = ids[0]; i == 0 || !c.same {
					ids[i] = benchSegment(b, store, c.size)
				}
			}
			for _, reads := range []struct {
				name  string
				store data.Store
			}{{"plain", store}, {"shared", store.Clients()}} {
				b.Run(reads.name, func(b *testing.B) {
					b.SetBytes(c.size * int64(c.clients))
					b.ReportAllocs()
					counted.take()
					begun := cpuTime()
					for b.Loop() {
						benchPull(b, reads.store, ids, c.size)
					}
					b.ReportMetric(float64((cpuTime()-begun).Milliseconds())/float64(b.N)/(float64(c.size*int64(c.clients))/1e9), "cpu-ms/GB")
					requests, bytes := counted.take()
					b.ReportMetric(float64(requests)/float64(b.N), "requests/op")
					b.ReportMetric(float64(bytes)/float64(b.N)/float64(c.size), "layers/op")
				})
			}
		})
	}
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func benchPull(b *testing.B, store data.Store, ids []data.ID, size int64) {
	b.Helper()
	var wg sync.WaitGroup
	for _, id := range ids {
		wg.Go(func() {
			r, err := store.Open(b.Context(), id, 0, size)
			if err != nil {
				b.Error(err)
				return
			}
			defer r.Close() //nolint:errcheck // read to its end
			h := sha256.New()
			n, err := io.CopyBuffer(struct{ io.Writer }{h}, r, make([]byte, 256<<10))
			if err != nil || n != size {
				b.Error(n, err)
			}
		})
	}
	wg.Wait()
}

func benchSegment(b *testing.B, store data.Store, size int64) data.ID {
	b.Helper()
	id := data.ID(fmt.Sprintf("%032x", time.Now().UnixNano()))
	w, err := store.Create(b.Context(), id)
	if err != nil {
		b.Fatal(err)
	}
	for left := size; left > 0; left -= 1 << 20 {
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := w.Commit(context.WithoutCancel(b.Context())); err != nil {
		b.Fatal(err)
	}
	return id
}

// limited makes each answer late, and each body as fast as a connection of so many bytes a second.
func limited(latency time.Duration, bytesPerSecond int64) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return s3test.RoundTripper(func(r *http.Request) (*http.Response, error) {
			time.Sleep(latency)
			resp, err := next.RoundTrip(r)
			if err == nil && bytesPerSecond > 0 {
				resp.Body = &limitedBody{ReadCloser: resp.Body, began: time.Now(), rate: bytesPerSecond}
			}
			return resp, err
		})
	}
}

type limitedBody struct {
	io.ReadCloser
	began time.Time
	sent  int64
	rate  int64
}

func (l *limitedBody) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	l.sent += int64(n)
	time.Sleep(time.Until(l.began.Add(time.Duration(l.sent * int64(time.Second) / l.rate))))
	return n, err
}
