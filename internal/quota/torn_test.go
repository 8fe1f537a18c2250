package quota_test

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/quota"
	"holdfast/internal/record"
)

// slowList is a store whose next list of the ledgers takes its time.
type slowList struct {
	record.Store
	next atomic.Int64 // a time.Duration
}

func (s *slowList) List(ctx context.Context, prefix, after record.Key) iter.Seq2[record.Entry, error] {
	if prefix == format.PrefixQuotaLedgers {
		time.Sleep(time.Duration(s.next.Swap(0)))
	}
	return s.Store.List(ctx, prefix, after)
}

// TestTornLook: while a replica looks, a count ends and the ledger of one that died is retired. What that one pushed is in what was counted, or in its ledger: never in neither.
func TestTornLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, limit := inMemory(t), quota.Limit{Bytes: 100 * kib}
		slow := &slowList{Store: s.records}
		s.records = slow
		one, two := s.replica(true, limit), s.replica(false, limit)
		time.Sleep(time.Minute)
		if _, err := push(t.Context(), one, "a", 60*kib); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		one.kill()
		time.Sleep(10 * time.Minute) // longer than a ledger of a replica that is alive is silent
		counts := s.replica(false, limit)
		if _, err := two.book.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		slow.next.Store(int64(time.Minute))
		pushed := make(chan error)
		go func() {
			time.Sleep(3 * time.Second)                                              // what it knows is too old to refuse by
			_, err := two.book.Begin(t.Context(), "a", format.Load{Bytes: 60 * kib}) // as a mount does
			pushed <- err
		}()
		time.Sleep(10 * time.Second)
		if err := counts.book.Recount(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-pushed; !full(err) {
			t.Errorf("60 KiB of 100 are held, and there is room for 60 more: %v", err)
		}
	})
}

// TestRemovedDuringCount: what was removed before a count, and is told after it, is not taken off once more, however late that is.
func TestRemovedDuringCount(t *testing.T) {
	for name, late := range map[string]time.Duration{"at once": 0, "in a while": 10 * time.Second, "after it was retired": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, limit := inMemory(t), quota.Limit{Bytes: 100 * kib}
				slow, counts := s.replica(false, limit), s.replica(true, limit)
				time.Sleep(time.Minute)
				d, err := push(t.Context(), slow, "a", 50*kib)
				if err != nil {
					t.Fatal(err)
				}
				if err := slow.book.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				if _, err := push(t.Context(), counts, "a", 40*kib); err != nil {
					t.Fatal(err)
				}
				time.Sleep(late)
				if err := slow.DeleteBlob(t.Context(), "a", d); err != nil {
					t.Fatal(err)
				}
				if err := counts.book.Recount(t.Context()); err != nil { // it does not see the blob
					t.Fatal(err)
				}
				for range 2 {
					if err := slow.book.Flush(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(10 * time.Second)
				if _, err := push(t.Context(), counts, "a", 61*kib); !full(err) {
					t.Errorf("%d of %d are held: %v", s.counted("").Bytes, 100*kib, err)
				}
				if err := counts.book.Recount(t.Context()); err != nil {
					t.Fatal(err)
				}
				if _, err := push(t.Context(), counts, "a", 60*kib); err != nil {
					t.Errorf("the rest: %v", err)
				}
			})
		})
	}
}

// TestRemovedFirst: what a process removes before it does anything else makes room: a collector that is run as a command.
func TestRemovedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, limit := inMemory(t), quota.Limit{Bytes: 100 * kib}
		r := s.replica(true, limit)
		time.Sleep(time.Minute)
		d, err := push(t.Context(), r, "a", 50*kib)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		command := s.replica(false, limit)
		if err := command.DeleteBlob(t.Context(), "a", d); err != nil {
			t.Fatal(err)
		}
		command.stop()
		if figures, err := r.book.Look(t.Context()); err != nil || figures[0].Used.Bytes != 0 {
			t.Errorf("%+v are used of nothing, %v", figures[0].Used, err)
		}
	})
}

// TestUnsure: an answer that was lost has everything counted again once, and not every ten minutes for as long as the replica lives.
func TestUnsure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, limit := inMemory(t), quota.Limit{Bytes: 100 * kib}
		r := s.replica(true, limit)
		time.Sleep(time.Hour)
		done, err := r.book.Begin(t.Context(), "a", format.Load{Bytes: kib})
		if err != nil {
			t.Fatal(err)
		}
		done(format.Unknown)
		counts, last := 0, r.book.Figures()[0].Counted
		for range 6 * 60 {
			time.Sleep(time.Minute)
			if now := r.book.Figures()[0].Counted; now != last {
				counts, last = counts+1, now
			}
		}
		if counts != 1 {
			t.Errorf("%d counts in six hours, of one answer that was lost", counts)
		}
		if used := r.book.Figures()[0].Used.Bytes; used != 0 {
			t.Errorf("%d bytes are used of nothing", used)
		}
	})
}

// TestBothRefused: two replicas claim the last room at once, and both are told to try again. A few seconds later one can have it.
func TestBothRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, limit := inMemory(t), quota.Limit{Bytes: 100 * kib}
		slow := &slowList{Store: s.records}
		s.records = slow
		one := s.replica(true, limit)
		s.records = slow.Store
		two := s.replica(true, limit)
		time.Sleep(70 * time.Second)
		slow.next.Store(int64(time.Second)) // both ledgers are written by then
		first := make(chan error)
		go func() {
			_, err := push(t.Context(), one, "a", 80*kib)
			first <- err
		}()
		time.Sleep(500 * time.Millisecond)
		_, err := push(t.Context(), two, "a", 80*kib)
		if err, other := err, <-first; !errors.Is(err, oci.ErrUnavailable) || !errors.Is(other, oci.ErrUnavailable) {
			t.Fatalf("%v, %v: the test shows nothing", err, other)
		}
		time.Sleep(5 * time.Second)
		if _, err := push(t.Context(), one, "a", 80*kib); err != nil {
			t.Errorf("a few seconds later: %v", err)
		}
	})
}
