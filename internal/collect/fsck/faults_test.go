package fsck_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/collect/fsck"
	"holdfast/internal/data"
	"holdfast/internal/format"
	"holdfast/internal/record"
)

var errGone = fmt.Errorf("the store is gone: %w", record.ErrUnavailable)

// failing is a record store that is gone from the n-th request on. What is put then may be applied all the same.
type failing struct {
	record.Store
	left    *atomic.Int64
	applied bool
}

func (f failing) Get(ctx context.Context, key record.Key) (record.Record, error) {
	if f.left.Add(-1) < 0 {
		return record.Record{}, errGone
	}
	return f.Store.Get(ctx, key)
}

func (f failing) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	if f.left.Add(-1) >= 0 {
		return f.Store.Put(ctx, key, value, cond)
	}
	if f.applied {
		_, _ = f.Store.Put(ctx, key, value, cond)
	}
	return record.Stamp{}, errGone
}

func (f failing) List(ctx context.Context, prefix, after record.Key) iter.Seq2[record.Entry, error] {
	if f.left.Add(-1) < 0 {
		return func(yield func(record.Entry, error) bool) { yield(record.Entry{}, errGone) }
	}
	return f.Store.List(ctx, prefix, after)
}

// failingData is a data store in the same way.
type failingData struct {
	data.Store
	left *atomic.Int64
}

func (f failingData) Stat(ctx context.Context, id data.ID) (int64, error) {
	if f.left.Add(-1) < 0 {
		return 0, errGone
	}
	return f.Store.Stat(ctx, id)
}

func (f failingData) List(ctx context.Context, after data.ID) iter.Seq2[data.Entry, error] {
	if f.left.Add(-1) < 0 {
		return func(yield func(data.Entry, error) bool) { yield(data.Entry{}, errGone) }
	}
	return f.Store.List(ctx, after)
}

// A store that fails makes the run fail, whatever request it is: it is never taken for something that is missing.
func TestAStoreThatFailsIsNoFinding(t *testing.T) {
	s, _ := full(t)
	var left atomic.Int64
	store := format.Store{Records: failing{Store: s.records, left: &left}, Ages: s.store.Ages}
	for n := int64(0); ; n += 1 + n/25 {
		left.Store(n)
		r, err := fsck.Run(s.ctx(), store, failingData{s.data, &left}, fsck.Config{Pause: -1, Repair: true})
		if err == nil {
			if n < 150 {
				t.Fatalf("a check made %d requests", n)
			}
			s.wantKinds("with all answers", r)
			return
		}
		if r != nil || !errors.Is(err, record.ErrUnavailable) {
			t.Fatalf("from request %d: %v, %v, want no report and ErrUnavailable", n, r, err)
		}
	}
}

// A repair that dies at any request, its write applied or not, is done by the next.
func TestARepairThatDiesIsDoneByTheNext(t *testing.T) {
	for _, row := range brokenThings() {
		if !slices.Contains([]string{"a segment that is gone", "a dead record with links", "a record of another size", "a referrer in an old life", "a dead marker of a repository"}, row.name) {
			continue
		}
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, applied %t", row.name, applied), func(t *testing.T) {
				t.Parallel()
				s, b := full(t)
				row.do(s, b)
				s.clock.pass(2 * time.Hour)
				var left atomic.Int64
				store := format.Store{Records: failing{s.records, &left, applied}, Ages: s.store.Ages}
				for n := int64(0); ; n += 13 {
					left.Store(n)
					s.clock.pass(2 * time.Hour)
					r, err := fsck.Run(s.ctx(), store, failingData{s.data, &left}, fsck.Config{Pause: -1, Repair: true})
					if err == nil {
						s.clock.pass(2 * time.Hour)
						s.wantKinds("afterwards", s.run(fsck.Config{}), row.left...)
						return
					}
					if r != nil || !errors.Is(err, record.ErrUnavailable) {
						t.Fatalf("from request %d: %v, %v", n, r, err)
					}
				}
			})
		}
	}
}

// hooked is a record store in which something happens once, right after a key was read.
type hooked struct {
	record.Store
	key  record.Key
	once *sync.Once
	then func()
}

func (h hooked) Get(ctx context.Context, key record.Key) (record.Record, error) {
	rec, err := h.Store.Get(ctx, key)
	if key == h.key {
		h.once.Do(h.then)
	}
	return rec, err
}

// A record is read while it is dead, and its link when it is live: what was never there at one moment is no finding.
func TestWhatWasReadAtTwoMomentsIsNoFinding(t *testing.T) {
	s, _ := full(t)
	d := of("deleted")
	edit(s, format.BlobKey(d), func(h *format.Blob, _ []byte) []byte { *h = format.Blob{}; h.State = format.Dead; return nil })
	store := format.Store{Records: hooked{s.records, format.BlobKey(d), new(sync.Once), func() { s.blob("a", "deleted") }}, Ages: s.store.Ages}
	r, err := fsck.Run(s.ctx(), store, s.data, fsck.Config{Pause: -1, Repair: true})
	s.check(err)
	s.wantKinds("with a push in between", r)
	if r.InFlight != 1 {
		t.Errorf("%d suspicions, want 1", r.InFlight)
	}
}

// What is mended by others between the two looks is no finding.
func TestWhatIsGoneAfterThePauseIsNoFinding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := full(t)
		s.remove(format.RepositoryKey("a"))
		fresh := s.replica()
		began := time.Now()
		go func() {
			time.Sleep(fsck.DefaultPause / 2)
			s.replicas = append(s.replicas[:0], fresh)
			s.push("a", b.solo, "solo")
		}()
		r, err := fsck.Run(s.ctx(), s.store, s.data, fsck.Config{})
		s.check(err)
		s.wantKinds("after a push", r)
		if took := time.Since(began); took != fsck.DefaultPause || r.InFlight != 1 {
			t.Errorf("took %s, %d in flight", took, r.InFlight)
		}
		s.replicas[0].Close()
	})
}

func TestARunThatIsCancelledEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := full(t)
		s.remove(format.RepositoryKey("a"))
		ctx, cancel := context.WithTimeout(s.ctx(), time.Second)
		defer cancel()
		if r, err := fsck.Run(ctx, s.store, s.data, fsck.Config{}); r != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, %v", r, err)
		}
	})
}

func TestAStoreOfANewerFormatIsRefused(t *testing.T) {
	s, _ := full(t)
	s.put(format.KeyFormat, `{"v":1,"n":"x","t":"2030-01-01T00:00:00Z","format":2,"features":[]}`+"\n")
	if r, err := fsck.Run(s.ctx(), s.store, s.data, fsck.Config{Repair: true}); r != nil || err == nil {
		t.Errorf("%v, %v, want an error", r, err)
	}
}
