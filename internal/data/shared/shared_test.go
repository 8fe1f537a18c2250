package shared_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/data"
	"holdfast/internal/data/shared"
)

// bubble runs a test in fake time, over a store and memory, and looks that nothing is left afterwards.
func bubble(t *testing.T, size, memoryBytes int64, test func(t *testing.T, reads *shared.Reads, s *store, m *memory)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, m := newStore(size), &memory{most: memoryBytes}
		test(t, shared.New(s, m), s, m)
		synctest.Wait()
		if m.inUse() != 0 || s.open != 0 {
			t.Errorf("%d bytes and %d connections are left", m.inUse(), s.open)
		}
	})
}

// TestFastClient has the store's connections be the limit: several are used at once, each byte is read once.
func TestFastClient(t *testing.T) {
	const size = 256*mib + 4711
	bubble(t, size, 128*mib, func(t *testing.T, reads *shared.Reads, s *store, _ *memory) {
		begin := time.Now()
		if err := (client{}).read(t, t.Context(), reads, s, 0, size); err != nil {
			t.Fatal(err)
		}
		single := time.Duration(size) * time.Second / time.Duration(s.rate)
		if took := time.Since(begin); took*3 > single {
			t.Errorf("it took %s, one connection takes %s", took, single)
		}
		requests, bytes, most := s.took()
		if bytes != size || requests != 33 || most < 4 || most > 6 {
			t.Errorf("%d bytes in %d requests, %d at once", bytes, requests, most)
		}
		if c := reads.Counts(); c.Fetched != size || c.Shared != size || c.Unread != 0 || c.Alone != 0 {
			t.Errorf("%+v", c)
		}
	})
}

// TestSlowClient has the client be the limit: no more than a chunk and a bit is read that it has not asked for, and once it is known
// to be slow it has no memory at all.
func TestSlowClient(t *testing.T) {
	const size = 128 * mib
	for name, c := range map[string]client{
		"half as fast as a connection": {rate: 40e6},
		"2 MB a second":                {rate: 2e6},
		"200 KB a second":              {rate: 200e3, stop: 20 * mib},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, size, 128*mib, func(t *testing.T, reads *shared.Reads, s *store, m *memory) {
				c.pause = func(read int64) time.Duration {
					_, bytes, most := s.took()
					if bytes-read > 2*shared.ChunkBytes || most > 2 {
						t.Fatalf("%d bytes were read for a client that has %d, by %d connections at once", bytes, read, most)
					}
					if name == "200 KB a second" && read > shared.ChunkBytes && m.inUse() != 0 {
						t.Fatalf("a slow client that has %d bytes holds %d", read, m.inUse())
					}
					return 0
				}
				if err := c.read(t, t.Context(), reads, s, 0, size); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// TestManyClients has many clients come for one segment within a moment: it is read once.
func TestManyClients(t *testing.T) {
	const size = 96 * mib
	for name, speed := range map[string]func(i int) client{
		"all alike":         func(int) client { return client{rate: 20e6} },
		"all at once":       func(int) client { return client{} },
		"some half as fast": func(i int) client { return client{rate: 20e6 / int64(1+i%2)} },
		"in fits": func(i int) client {
			return client{pause: func(read int64) time.Duration {
				return time.Duration((read/(256<<10)+int64(i))%7) * 10 * time.Millisecond
			}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, size, 64*mib, func(t *testing.T, reads *shared.Reads, s *store, _ *memory) {
				var wg sync.WaitGroup
				clients := 16
				if name == "all at once" {
					clients = 64
				}
				for i := range clients {
					wg.Go(func() {
						time.Sleep(time.Duration(i) * time.Millisecond)
						if err := speed(i).read(t, t.Context(), reads, s, 0, size); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				if _, bytes, _ := s.took(); bytes > size*12/10 {
					t.Errorf("%d bytes were read of the store, %.2f times the segment", bytes, float64(bytes)/size)
				}
			})
		})
	}
}

// TestStalledClient has a client stop for an hour: others wait for it for a bounded time, and it reads on by itself.
func TestStalledClient(t *testing.T) {
	const size = 256 * mib
	bubble(t, size, 64*mib, func(t *testing.T, reads *shared.Reads, s *store, _ *memory) {
		begin := time.Now()
		var others atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := (client{}).read(t, t.Context(), reads, s, 0, size); err != nil {
					t.Error(err)
				}
				others.Store(int64(time.Since(begin))) // the last one's stays
			})
		}
		wg.Go(func() {
			stalled := client{pause: func(read int64) time.Duration {
				if read == 10*mib {
					return time.Hour
				}
				return 0
			}}
			if err := stalled.read(t, t.Context(), reads, s, 0, size); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		most := time.Duration(size)*time.Second/time.Duration(s.rate)/2 + 15*time.Second
		if took := time.Duration(others.Load()); took > most {
			t.Errorf("the others took %s", took)
		}
		if _, bytes, _ := s.took(); bytes > 2*size+2*shared.ChunkBytes {
			t.Errorf("%d bytes were read of the store", bytes)
		}
	})
}

// TestFirstLeaves has the client leave for whom the reading began.
func TestFirstLeaves(t *testing.T) {
	const size = 64 * mib
	bubble(t, size, 128*mib, func(t *testing.T, reads *shared.Reads, s *store, _ *memory) {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := (client{}).read(t, ctx, reads, s, 0, size); !errors.Is(err, context.Canceled) {
				t.Errorf("the one who left: %v", err)
			}
		})
		time.Sleep(time.Millisecond) // its request is under way
		for range 3 {
			wg.Go(func() {
				if err := (client{}).read(t, t.Context(), reads, s, 0, size); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(50 * time.Millisecond)
		cancel()
		wg.Wait()
		if _, bytes, _ := s.took(); bytes != size {
			t.Errorf("%d bytes were read of the store", bytes)
		}
	})
}

// TestEarlyEnd has a fast client leave: what was read for nothing is bounded, and counted.
func TestEarlyEnd(t *testing.T) {
	const size, stop = 256 * mib, 100 * mib
	bubble(t, size, 128*mib, func(t *testing.T, reads *shared.Reads, s *store, _ *memory) {
		if err := (client{stop: stop}).read(t, t.Context(), reads, s, 0, size); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		_, bytes, _ := s.took()
		c := reads.Counts()
		if wasted := bytes - stop; wasted > 6*shared.ChunkBytes || c.Unread != c.Fetched-c.Shared || wasted-c.Unread > 6*unit {
			t.Errorf("%d bytes were read for nothing; %+v", wasted, c)
		}
	})
}

// TestBroken has requests fail: who needs what they were to bring reads it alone, and is told the truth when that fails too.
func TestBroken(t *testing.T) {
	const size, clients = 96 * mib, 5
	for name, c := range map[string]struct {
		broken func(request int, offset, at int64) error
		other  func(request int) bool
		ok     bool
	}{
		"each third request in its middle": {broken: func(request int, offset, at int64) error {
			if request%3 == 0 && at > offset+3*mib {
				return errGone
			}
			return nil
		}},
		"one before its answer":    {broken: func(request int, _, _ int64) error { return when(request == 4, errGone) }, ok: true},
		"the first of all":         {broken: func(request int, _, _ int64) error { return when(request == 1, errGone) }, ok: true},
		"one in its middle":        {broken: func(request int, o, at int64) error { return when(request == 5 && at > o+mib, errGone) }, ok: true},
		"all from the middle on":   {broken: func(_ int, _, at int64) error { return when(at > size/2, errGone) }},
		"gone from the middle on":  {broken: func(_ int, _, at int64) error { return when(at > size/2, data.ErrNotFound) }},
		"one is of another object": {other: func(request int) bool { return request == 3 }, ok: true},
		"another object from then": {other: func(request int) bool { return request >= 3 }},
		"none at all":              {broken: func(int, int64, int64) error { return data.ErrNotFound }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, size, 128*mib, func(t *testing.T, reads *shared.Reads, s *store, _ *memory) {
				s.broken, s.other = c.broken, c.other
				var wg sync.WaitGroup
				for i := range clients {
					wg.Go(func() {
						err := client{rate: int64(30e6 + i*10e6)}.read(t, t.Context(), reads, s, 0, size)
						switch {
						case c.ok && err != nil:
							t.Error(err)
						case !c.ok && err == nil && name != "each third request in its middle":
							t.Error("no error")
						case err != nil && !errors.Is(err, data.ErrUnavailable) && !errors.Is(err, data.ErrNotFound):
							t.Errorf("got %v", err)
						}
					})
				}
				wg.Wait()
			})
		})
	}
}

func when(is bool, err error) error {
	if is {
		return err
	}
	return nil
}

// TestShort has the object be shorter than what is asked for: that is never a clean end.
func TestShort(t *testing.T) {
	for _, size := range []int64{3 * mib, shared.ChunkBytes, shared.ChunkBytes + 1, 20 * mib} {
		bubble(t, size, 128*mib, func(t *testing.T, reads *shared.Reads, s *store, _ *memory) {
			for _, offset := range []int64{0, mib} {
				r, err := reads.Open(t.Context(), id, offset, 40*mib)
				if err != nil {
					t.Fatal(err)
				}
				n, err := io.Copy(io.Discard, r)
				if n != size-offset || !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("from %d of %d: %d bytes, %v", offset, size, n, err)
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestBeyondTheEnd has the object end before what is asked for begins: that is said at once, also while others read it.
func TestBeyondTheEnd(t *testing.T) {
	for _, size := range []int64{3 * mib, shared.ChunkBytes, 20 * mib} {
		for _, offset := range []int64{size, size + 1, 3 * shared.ChunkBytes, 5*shared.ChunkBytes + 1} {
			for _, read := range []bool{false, true} {
				bubble(t, size, 128*mib, func(t *testing.T, reads *shared.Reads, s *store, _ *memory) {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					if read {
						other, err := reads.Open(ctx, id, 0, 40*mib)
						if err != nil {
							t.Fatal(err)
						}
						defer other.Close() //nolint:errcheck // nothing more is read
					}
					r, err := reads.Open(ctx, id, offset, 40*mib)
					if err != nil {
						t.Fatalf("from %d of %d: %v", offset, size, err)
					}
					if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
						t.Errorf("from %d of %d: %d bytes, %v", offset, size, n, err)
					}
					if err := r.Close(); err != nil {
						t.Error(err)
					}
					if requests, _, _ := s.took(); requests > 2 {
						t.Errorf("from %d of %d: %d requests", offset, size, requests)
					}
				})
			}
		}
	}
}

// TestRanges reads what is no chunk: never more than was asked for.
func TestRanges(t *testing.T) {
	const size = 100*mib + 99
	bubble(t, size, 128*mib, func(t *testing.T, reads *shared.Reads, s *store, _ *memory) {
		for _, c := range []struct{ offset, length int64 }{{1, size - 1}, {5 * mib, 40 * mib}, {shared.ChunkBytes, shared.ChunkBytes + 1}, {size - 9*mib, 9 * mib}, {0, size - 1}, {7, 9 * mib}} {
			s.bytes, s.requests = 0, 0
			if err := (client{}).read(t, t.Context(), reads, s, c.offset, c.length); err != nil {
				t.Error(err)
			}
			if _, bytes, _ := s.took(); bytes != c.length {
				t.Errorf("%d bytes were read for %d from %d", bytes, c.length, c.offset)
			}
		}
	})
}

// TestNoMemory has no memory to be lent: all is read as if there were no chunks, with few requests, and nobody waits.
func TestNoMemory(t *testing.T) {
	const size = 128 * mib
	bubble(t, size, 0, func(t *testing.T, reads *shared.Reads, s *store, _ *memory) {
		if err := (client{}).read(t, t.Context(), reads, s, 0, size); err != nil {
			t.Fatal(err)
		}
		if requests, bytes, most := s.took(); requests != 8 || bytes != size || most != 1 {
			t.Errorf("%d bytes by %d requests, %d at once", bytes, requests, most)
		}
	})
}

// TestReclaim gives back what nobody needs, and what it gives back is not read by anybody.
func TestReclaim(t *testing.T) {
	const size = 64 * mib
	bubble(t, size, 128*mib, func(t *testing.T, reads *shared.Reads, s *store, m *memory) {
		c := client{rate: 100e6, pause: func(read int64) time.Duration {
			if read%(10*mib) != 0 {
				return 0
			}
			reads.Reclaim()
			synctest.Wait()
			if in := m.inUse(); in > 7*shared.ChunkBytes {
				t.Errorf("%d bytes are still in use after %d", in, read)
			}
			return 0
		}}
		if err := c.read(t, t.Context(), reads, s, 0, size); err != nil {
			t.Fatal(err)
		}
	})
}

// TestLateClients come when the beginning has gone from memory: they read it once more, together.
func TestLateClients(t *testing.T) {
	const size = 256 * mib
	bubble(t, size, 64*mib, func(t *testing.T, reads *shared.Reads, s *store, _ *memory) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if i >= 4 {
					time.Sleep(3 * time.Second)
				}
				if err := (client{rate: 50e6}).read(t, t.Context(), reads, s, 0, size); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if _, bytes, _ := s.took(); bytes > 2*size {
			t.Errorf("%d bytes were read of the store, %.2f times the segment", bytes, float64(bytes)/size)
		}
	})
}
