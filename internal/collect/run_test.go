package collect_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/collect"
	datamem "holdfast/internal/data/mem"
	"holdfast/internal/format"
	"holdfast/internal/lease"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	recordmem "holdfast/internal/record/mem"
)

// TestResume: a full pass that is cut off at any time it says how far it is goes on from there, and frees the same.
func TestResume(t *testing.T) {
	cut := errors.New("cut off")
	for at := 1; ; at++ {
		ended := false
		in(t, func(t *testing.T, h *house) {
			var want int64
			for i := range 40 {
				repo := oci.Repository(fmt.Sprintf("r%d", i))
				h.push(repo, "keep", fmt.Sprint("kept ", i))
				useless := fmt.Sprint("useless ", i)
				h.blob(repo, useless)
				h.manifest(repo, image("", useless))
				want += sizeOf(useless)
			}
			h.pass(day + 1)
			var saved collect.Progress
			n := 0
			cfg := collect.Config{SaveEvery: 1}
			first, err := h.collector(cfg).Pass(t.Context(), collect.Progress{Full: true}, func(_ context.Context, p collect.Progress) error {
				saved = p
				if n++; n == at {
					return cut
				}
				return nil
			})
			if ended = err == nil; ended {
				if first.FreedBytes() != want {
					t.Errorf("%d bytes freed, want %d", first.FreedBytes(), want)
				}
				return
			}
			if !errors.Is(err, cut) || first.Failed == "" {
				t.Fatalf("%v, and the report says %q", err, first.Failed)
			}
			rest, err := h.collector(cfg).Pass(t.Context(), saved, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := first.FreedBytes() + rest.FreedBytes(); got != want {
				t.Errorf("cut off at %+v: %d bytes freed before and %d after, want %d", saved, first.FreedBytes(), rest.FreedBytes(), want)
			}
			for i := range 40 {
				h.wantImage(oci.Repository(fmt.Sprintf("r%d", i)), "keep", fmt.Sprint("kept ", i))
			}
		})
		if t.Failed() {
			return
		}
		if ended {
			if at < 20 {
				t.Errorf("it was cut off %d times only", at)
			}
			return
		}
	}
}

// TestRun: of three replicas one makes the passes, one in each interval; when it dies in the middle of one another goes on from where it
// was, within a minute; and every week there is a full pass.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, recordmem.New(recordmem.Config{}), datamem.Config{})
		for i := range 10 {
			h.push(oci.Repository(fmt.Sprintf("r%d", i)), "keep", fmt.Sprint("kept ", i))
		}
		var mu sync.Mutex
		var passes, fulls int
		var made []string
		replicas := map[string]*mortal{}
		var wg sync.WaitGroup
		for _, name := range []string{"one", "two", "three"} {
			ctx, cancel := context.WithCancel(t.Context())
			m := &mortal{Store: h.records, kill: cancel}
			replicas[name] = m
			c := collect.New(h.registry, format.Store{Records: m, Ages: h.store.Ages}, h.segments, collect.Config{SaveEvery: 1}, slog.New(slog.DiscardHandler))
			wg.Go(func() {
				c.Run(ctx, name, collect.Schedule{Interval: time.Hour, Report: func(r *collect.Report, err error) {
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						return
					}
					passes++
					if r.Full {
						fulls++
					}
					made = append(made, name)
				}})
			})
		}
		h.pass(10*day + time.Hour)
		mu.Lock()
		if passes < 220 || passes > 241 || fulls != 2 {
			t.Errorf("%d passes, %d of them full, in ten days", passes, fulls)
		}
		last := made[len(made)-1]
		mu.Unlock()

		// Everything is slow from now on, so that the next full pass, four days from now, can be caught in its middle.
		for _, m := range replicas {
			m.slow.Store(true)
		}
		var holder string
		h.pass(3 * day)
		for range 24 * 60 * 60 {
			time.Sleep(3 * time.Second)
			status, err := h.collector(collect.Config{}).Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if status.Running != nil && status.Running.Full && status.Running.Cursor != "" {
				holder = status.Holder
				break
			}
		}
		if holder == "" {
			t.Fatalf("no full pass in six days; %s made the last one", last)
		}
		replicas[holder].die()
		died := time.Now()
		for {
			time.Sleep(time.Second)
			status, err := h.collector(collect.Config{}).Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if status.Holder != "" && status.Holder != holder {
				if status.Running == nil || !status.Running.Full || status.Running.Cursor == "" {
					t.Errorf("%s took over, and does not go on: %+v", status.Holder, status.Running)
				}
				break
			}
			if time.Since(died) > time.Minute {
				t.Fatalf("nobody took over from %s within a minute: %+v", holder, status)
			}
		}
		for _, m := range replicas {
			m.kill()
		}
		wg.Wait()
	})
}

// mortal is the store as a replica sees it that may die without a word.
type mortal struct {
	record.Store
	kill context.CancelFunc
	dead atomic.Bool
	slow atomic.Bool
}

func (m *mortal) die() { m.dead.Store(true); m.kill() }

func (m *mortal) Get(ctx context.Context, key record.Key) (record.Record, error) {
	if m.dead.Load() {
		return record.Record{}, record.ErrUnavailable
	}
	return m.Store.Get(ctx, key)
}

func (m *mortal) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	if m.slow.Load() {
		time.Sleep(500 * time.Millisecond)
	}
	if m.dead.Load() {
		return record.Stamp{}, record.ErrUnavailable
	}
	return m.Store.Put(ctx, key, value, cond)
}

// TestSecondPassIsRefused: while one is made another is refused, with who makes it; a dry run is not.
func TestSecondPassIsRefused(t *testing.T) {
	in(t, func(t *testing.T, h *house) {
		if _, err := lease.Take(t.Context(), h.store, collect.LeaseName, "somebody", 0); err != nil {
			t.Fatal(err)
		}
		_, err := h.collector(collect.Config{}).PassNow(t.Context(), "me", true)
		var held *lease.HeldError
		if !errors.As(err, &held) || held.Holder != "somebody" {
			t.Errorf("%v", err)
		}
		if _, err := h.collector(collect.Config{DryRun: true}).PassNow(t.Context(), "me", true); err != nil {
			t.Error(err)
		}
		h.pass(time.Minute)
		if _, err := h.collector(collect.Config{}).PassNow(t.Context(), "me", true); err != nil {
			t.Errorf("a minute after the holder died: %v", err)
		}
	})
}

// TestHints: a replica writes one object in a minute at most, whatever happens, and none when nothing does.
func TestHints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, recordmem.New(recordmem.Config{}), datamem.Config{})
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { h.hints.Run(ctx) })
		for i := range 600 {
			h.hints.Changed(oci.Repository(fmt.Sprintf("r%d", i)), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
			time.Sleep(time.Second)
		}
		if n := len(h.keys("h/")); n < 9 || n > 10 {
			t.Errorf("%d objects in ten minutes", n)
		}
		for range 100000 { // too much for one object is dropped, and left to a full pass
			h.hints.Changed(oci.Repository(format.RandomID()))
		}
		time.Sleep(10 * time.Minute)
		if n := len(h.keys("h/")); n > 11 {
			t.Errorf("%d objects, though nothing happened", n)
		}
		h.hints.Changed("last")
		stop()
		wg.Wait()
		if n := len(h.keys("h/")); n < 11 {
			t.Errorf("%d objects: what a replica that ends knows is lost", n)
		}
	})
}

// TestARecentPassForgetsNoFullOne: a full pass that was cut off is made up for, also when somebody has a pass made over what changed before it goes on.
func TestARecentPassForgetsNoFullOne(t *testing.T) {
	in(t, func(t *testing.T, h *house) {
		h.push("a", "latest", "layer")
		h.blob("a", "useless")
		h.pass(2 * day)
		ctx, cut := context.WithCancel(t.Context())
		defer cut()
		cfg := collect.Config{Removed: func(collect.Kind, oci.Repository, oci.Digest) { cut() }}
		if _, err := h.collector(cfg).PassNow(ctx, "me", true); !errors.Is(err, context.Canceled) {
			t.Fatalf("a full pass that is cut off: %v", err)
		}
		if r, err := h.collector(collect.Config{}).PassNow(t.Context(), "me", false); err != nil || r.Full {
			t.Fatalf("a pass over what changed: %+v %v", r, err)
		}
		running, stop := context.WithCancel(t.Context())
		passes := make(chan *collect.Report, 10)
		go h.collector(collect.Config{}).Run(running, "me", collect.Schedule{Interval: time.Hour, Report: func(r *collect.Report, _ error) { passes <- r }})
		if first, second := <-passes, <-passes; !first.Full || second.Full {
			t.Errorf("full: %t, then %t", first.Full, second.Full)
		}
		stop()
		synctest.Wait()
		if got, want := h.bytes(), sizeOf("config", "layer"); got != want {
			t.Errorf("%d bytes, want %d", got, want)
		}
	})
}
