package scrub_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/collect/scrub"
	"holdfast/internal/data"
	"holdfast/internal/format"
	"holdfast/internal/lease"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// blobs pushes n blobs and returns their segments in the order in which a round reads them.
func (w *world) blobs(n int) (ids []data.ID, digests []oci.Digest) {
	w.t.Helper()
	of := map[record.Key]oci.Digest{}
	for i := range n {
		d := w.push("a", fmt.Sprint("blob ", i))
		of[format.BlobKey(d)] = d
	}
	for _, key := range slices.Sorted(maps.Keys(of)) {
		digests = append(digests, of[key])
		ids = append(ids, w.segment(of[key]))
	}
	return ids, digests
}

func TestAStoreThatIsAwayIsNoDamage(t *testing.T) {
	for name, away := range map[string]error{
		"unavailable":         data.ErrUnavailable,
		"broken connections":  fmt.Errorf("%w: %w", data.ErrUnavailable, io.ErrUnexpectedEOF),
		"time-outs within it": context.DeadlineExceeded,
	} {
		for _, blobs := range []int{1, 5, 30} {
			run(t, fmt.Sprintf("%s, %d blobs", name, blobs), func(w *world) {
				_, digests := w.blobs(blobs)
				n := 0
				w.data.before = func(context.Context, data.ID) error {
					if n++; n > blobs/2 {
						return away
					}
					return nil
				}
				report, err := scrub.Run(w.t.Context(), w.deps(), w.cfg)
				if err == nil || !errors.Is(err, away) || report.DamagedTotal != 0 || report.Skipped != 0 || !report.Ended.IsZero() {
					w.t.Errorf("%+v, %v", report, err)
				}
				for _, d := range digests {
					if rec := w.record(d); !rec.Is(format.Live) {
						w.t.Errorf("the record of %s is %s", d, rec.State)
					}
				}
				w.data.before = nil
				w.data.opens()
				if report := w.whole(); report.Records != int64(blobs) {
					w.t.Errorf("%d records, want %d", report.Records, blobs)
				}
				if times := w.data.opens(); times[1] != blobs-blobs/2 || len(times) != 1 {
					w.t.Errorf("after it came back, segments by how often they were opened: %v, want %d once", times, blobs-blobs/2)
				}
			})
		}
	}
	run(t, "records", func(w *world) {
		_, digests := w.blobs(5)
		w.whole()
		healthy := w.records
		w.records = noGets{healthy}
		report, err := scrub.Run(w.t.Context(), w.deps(), w.cfg)
		if !errors.Is(err, record.ErrUnavailable) {
			w.t.Errorf("%+v, %v", report, err)
		}
		w.records = healthy
		for _, d := range digests {
			w.wantThere(d, "a")
		}
		time.Sleep(lease.DefaultTTL)
		w.whole()
	})
}

// noGets is a record store that gives no blob record.
type noGets struct{ record.Store }

func (s noGets) Get(ctx context.Context, key record.Key) (record.Record, error) {
	if strings.HasPrefix(string(key), "b/") {
		return record.Record{}, record.ErrUnavailable
	}
	return s.Store.Get(ctx, key)
}

// A bad sector: the store answers for all others.
func TestWhatCannotBeReadIsSkipped(t *testing.T) {
	const blobs = 30
	for name, bad := range map[string][]int{
		"the first": {0}, "one in the middle": {7}, "the last": {29}, "two in a row": {7, 8}, "the last two": {28, 29}, "many in a row": {5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, "the first ten": {0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
	} {
		run(t, name, func(w *world) {
			ids, _ := w.blobs(blobs)
			w.data.before = func(_ context.Context, id data.ID) error {
				if slices.Contains(bad, slices.Index(ids, id)) {
					return fmt.Errorf("%w: input/output error", data.ErrUnavailable)
				}
				return nil
			}
			report, err := scrub.Run(w.t.Context(), w.deps(), w.cfg)
			if err != nil {
				w.t.Fatal(err)
			}
			if report.Skipped != int64(len(bad)) || report.Records != int64(blobs-len(bad)) || report.DamagedTotal != 0 || report.Ended.IsZero() {
				w.t.Errorf("%+v, want %d skipped", report, len(bad))
			}
			times := w.data.opens()
			if read := times[1] + times[2]; read != blobs || len(w.log.errors(w.t)) != 0 {
				w.t.Errorf("%d segments were opened: %v", read, times)
			}
		})
	}
}

func TestWhoeverComesNextGoesOn(t *testing.T) {
	const blobs = 40
	run(t, "after a shutdown, at once", func(w *world) {
		w.blobs(blobs)
		ctx, cancel := context.WithCancel(w.t.Context())
		n := 0
		w.data.before = func(context.Context, data.ID) error {
			if n++; n == 17 {
				cancel()
				return ctx.Err()
			}
			return nil
		}
		if report, err := scrub.Run(ctx, w.deps(), w.cfg); !errors.Is(err, context.Canceled) || report.Records != 16 {
			w.t.Fatalf("%+v, %v", report, err)
		}
		last, err := scrub.Last(w.t.Context(), w.deps().Records)
		if err != nil || last.Records != 16 || !last.Ended.IsZero() {
			w.t.Errorf("last %+v, %v", last, err)
		}
		w.cfg.Holder = "another"
		if report := w.whole(); report.Records != blobs {
			w.t.Errorf("%d records, want %d", report.Records, blobs)
		}
		if times := w.data.opens(); times[1] != blobs-1 || times[2] != 1 { // the one that was being opened
			w.t.Errorf("segments by how often they were opened: %v", times)
		}
	})
	run(t, "after a kill, from what was saved", func(w *world) {
		w.blobs(blobs)
		w.cfg.Every = 5
		ctx, cancel := context.WithCancel(w.t.Context())
		dying := &dying{Store: w.records}
		dying.left.Store(1 << 40)
		n := 0
		w.data.before = func(context.Context, data.ID) error {
			if n++; n == 18 {
				dying.left.Store(0) // the process writes nothing any more
				cancel()
				return ctx.Err()
			}
			return nil
		}
		healthy := w.records
		w.records = dying
		if _, err := scrub.Run(ctx, w.deps(), w.cfg); !errors.Is(err, context.Canceled) {
			w.t.Fatal(err)
		}
		w.records, w.data.before = healthy, nil
		w.cfg.Holder = "another"
		var held *lease.HeldError
		if _, err := scrub.Run(w.t.Context(), w.deps(), w.cfg); !errors.As(err, &held) || held.Holder != "replica" {
			w.t.Fatalf("run = %v, want a HeldError", err)
		}
		time.Sleep(lease.DefaultTTL)
		if report := w.whole(); report.Records != blobs || report.Bytes != int64(len("blob 0")*10+len("blob 10")*30) {
			w.t.Errorf("%+v, want %d records", report, blobs)
		}
		if times := w.data.opens(); times[1] != blobs-3 || times[2] != 3 { // 15 were saved; 16 and 17 were read, 18 opened
			w.t.Errorf("segments by how often they were opened: %v", times)
		}
	})
	run(t, "in the repositories", func(w *world) {
		for i := range 10 {
			w.image("a", fmt.Sprint("layer ", i), oci.Tag(fmt.Sprint("v", i)))
		}
		all := w.whole()
		ctx, cancel := context.WithCancel(w.t.Context())
		healthy := w.records
		w.records = &cancelling{Store: healthy, left: 7, cancel: cancel}
		before, err := scrub.Run(ctx, w.deps(), w.cfg)
		if !errors.Is(err, context.Canceled) || before.Manifests == 0 || before.Manifests >= all.Manifests {
			w.t.Fatalf("%+v, %v", before, err)
		}
		w.records = healthy
		w.data.opens()
		if after := w.whole(); after.Manifests != all.Manifests || after.Records != all.Records || len(w.data.opens()) != 0 {
			w.t.Errorf("%+v, want what a whole round has: %+v", after, all)
		}
	})
}

// cancelling ends its process's work after so many reads of manifests and tags.
type cancelling struct {
	record.Store
	left   int
	cancel func()
}

func (s *cancelling) Get(ctx context.Context, key record.Key) (record.Record, error) {
	if strings.HasPrefix(string(key), "r/") {
		if s.left--; s.left < 0 {
			s.cancel()
		}
	}
	return s.Store.Get(ctx, key)
}

func TestTwoAtOnce(t *testing.T) {
	run(t, "the second is told", func(w *world) {
		w.blobs(3)
		reading, goOn := make(chan struct{}), make(chan struct{})
		var first atomic.Bool
		w.data.before = func(context.Context, data.ID) error {
			if first.CompareAndSwap(false, true) {
				close(reading)
				<-goOn
			}
			return nil
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.whole()
		}()
		<-reading
		time.Sleep(10 * time.Minute) // one blob that takes long
		cfg := w.cfg
		cfg.Holder = "another"
		var held *lease.HeldError
		if _, err := scrub.Run(w.t.Context(), w.deps(), cfg); !errors.As(err, &held) {
			w.t.Errorf("run = %v, want a HeldError", err)
		}
		close(goOn)
		<-done
	})
	run(t, "one that lost its lease stops, and both together mark once", func(w *world) {
		_, digests := w.blobs(3)
		for _, d := range digests {
			w.damage(w.segment(d), lose)
		}
		reading, goOn := make(chan struct{}), make(chan struct{})
		var first atomic.Bool
		w.data.before = func(context.Context, data.ID) error {
			if first.CompareAndSwap(false, true) {
				close(reading)
				<-goOn
			}
			return nil
		}
		// The first cannot renew its lease, and reads on without knowing.
		asleep := &dying{Store: w.records}
		asleep.left.Store(1)
		deps := w.deps()
		deps.Records.Records = asleep
		var stopped error
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, stopped = scrub.Run(w.t.Context(), deps, w.cfg)
		}()
		<-reading
		time.Sleep(lease.DefaultTTL)
		w.cfg.Holder = "another"
		report := w.scrub()
		close(goOn)
		<-done
		if !errors.Is(stopped, lease.ErrLost) {
			w.t.Errorf("the first: %v, want ErrLost", stopped)
		}
		if report.DamagedTotal != 3 || w.counts.Damaged.Load() != 3 || len(w.log.errors(w.t)) != 3 {
			w.t.Errorf("%+v, counted %d", report, w.counts.Damaged.Load())
		}
		for _, d := range digests {
			w.wantGone(d, "a")
		}
	})
}

func TestServe(t *testing.T) {
	run(t, "rounds of all replicas, with rests", func(w *world) {
		ids, _ := w.blobs(20)
		ctx, cancel := context.WithTimeout(w.t.Context(), 3*24*time.Hour+time.Hour)
		defer cancel()
		var all sync.WaitGroup
		for i := range 3 {
			cfg := w.cfg
			cfg.Holder = fmt.Sprint("replica-", i)
			all.Go(func() {
				if err := scrub.Serve(ctx, w.deps(), cfg); !errors.Is(err, context.DeadlineExceeded) {
					w.t.Errorf("serve = %v", err)
				}
			})
		}
		all.Wait()
		if log := w.log.all.String(); strings.Contains(log, "WARN") || strings.Count(log, "a round has ended") != 4 {
			w.t.Errorf("logged %s", log)
		}
		if n := w.counts.Rounds.Load(); n != 4 {
			w.t.Errorf("%d rounds in three days, want 4", n)
		}
		if times := w.data.opens(); times[4] != len(ids) || len(times) != 1 {
			w.t.Errorf("segments by how often they were opened: %v", times)
		}
	})
	run(t, "goes on when the store is back", func(w *world) {
		w.blobs(20)
		var n atomic.Int64
		w.data.before = func(context.Context, data.ID) error {
			if n.Add(1) > 10 && n.Load() < 100 {
				return data.ErrUnavailable
			}
			return nil
		}
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Hour)
		defer cancel()
		_ = scrub.Serve(ctx, w.deps(), w.cfg)
		last, err := scrub.Last(w.t.Context(), w.deps().Records)
		if err != nil || last.Ended.IsZero() || last.Records != 20 || last.Skipped != 0 || w.counts.Failures.Load() == 0 {
			w.t.Errorf("last %+v, %v", last, err)
		}
	})
	run(t, "rests when all seems damaged, at every replica", func(w *world) {
		ids, _ := w.blobs(20)
		for _, id := range ids {
			w.damage(id, lose)
		}
		w.cfg.MaxDamaged = 3
		ctx, cancel := context.WithTimeout(w.t.Context(), 50*time.Hour)
		defer cancel()
		var all sync.WaitGroup
		for i := range 3 {
			cfg := w.cfg
			cfg.Holder = fmt.Sprint("replica-", i)
			all.Go(func() { _ = scrub.Serve(ctx, w.deps(), cfg) })
		}
		all.Wait()
		if n := w.counts.Damaged.Load(); n != 9 {
			w.t.Errorf("%d were marked in three days, want 9", n)
		}
	})
	run(t, "a configuration that is none", func(w *world) {
		for _, cfg := range []scrub.Config{{}, {Holder: "a", BytesPerSecond: -1}, {Holder: "a", Interval: -1}} {
			if err := scrub.Serve(w.t.Context(), w.deps(), cfg); err == nil {
				w.t.Errorf("serve with %+v: no error", cfg)
			}
			if _, err := scrub.Run(w.t.Context(), w.deps(), cfg); err == nil {
				w.t.Errorf("run with %+v: no error", cfg)
			}
		}
	})
}

func TestTheRateIsBounded(t *testing.T) {
	each(t, func(w *world) {
		w.push("a", strings.Repeat("x", 10<<20))
		w.cfg.BytesPerSecond = 1 << 20
		w.cfg.RequestsPerSecond = 1e6
		begin := time.Now()
		report := w.whole()
		if took := time.Since(begin); report.Bytes != 10<<20 || took < 9700*time.Millisecond || took > 10100*time.Millisecond {
			w.t.Errorf("%d bytes took %s, want some 10s", report.Bytes, took)
		}
	})
	run(t, "requests", func(w *world) {
		w.blobs(100)
		w.cfg.RequestsPerSecond = 10
		begin := time.Now()
		w.whole()
		if took := time.Since(begin); took < 19*time.Second || took > 21*time.Second {
			w.t.Errorf("100 records and 100 segments took %s, want some 20s", took)
		}
	})
}

// Pushes, deletes and healing beside rounds: what is whole is never found damaged, and what is damaged is healed.
func TestBesideEverythingElse(t *testing.T) {
	w := newWorld(t, true) // in real time: the race detector looks on
	w.cfg.RequestsPerSecond, w.cfg.BytesPerSecond = 1e6, 1<<40
	contents := make([]string, 20)
	for i := range contents {
		contents[i] = fmt.Sprint("blob ", i)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for i := range 4 {
		local, repo := w.open(w.records), oci.Repository(fmt.Sprint("r", i))
		all.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				content := contents[n%len(contents)]
				d := digest.FromString(content)
				err := local.PushBlob(ctx, repo, d, strings.NewReader(content), int64(len(content)))
				if err == nil && n%3 == 0 {
					err = local.DeleteBlob(ctx, repo, d)
				}
				if err == nil && n%5 == 0 {
					var rec format.Stored[format.Blob]
					if rec, err = format.Read[format.Blob](ctx, w.deps().Records, format.BlobKey(d)); err == nil && rec.Is(format.Live) {
						_, err = local.MarkCorrupt(ctx, d, rec.Head.Segments) // as a reader that found it damaged
					}
				}
				if err != nil && ctx.Err() == nil && !errors.Is(err, oci.ErrUnavailable) && !errors.Is(err, oci.ErrBlobUnknown) {
					t.Error(err)
				}
			}
		})
	}
	rounds := 0
	for ; ctx.Err() == nil; rounds++ {
		report := w.scrub()
		for _, damage := range report.Damaged {
			if damage.Kind != scrub.Marked {
				t.Errorf("damaged %+v", damage)
			}
		}
	}
	all.Wait()
	for _, content := range contents {
		w.push("z", content)
		w.wantThere(digest.FromString(content), "z")
	}
	t.Logf("%d rounds", rounds)
}
