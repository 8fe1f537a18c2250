package fresh_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/access/authn/fresh"
)

// store answers after a while with how often it was written.
type store struct {
	value, reads atomic.Int64
	gone         atomic.Bool
	takes        time.Duration
}

var errGone = errors.New("gone")

func (s *store) read(ctx context.Context, _ string) (int64, error) {
	s.reads.Add(1)
	value := s.value.Load()
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if s.gone.Load() {
		return 0, errGone
	}
	return value, nil
}

// TestNothingIsOlderThanMaxAge: whoever asks all the time sees a write after MaxAge at the latest, and the store is asked about once a second.
func TestNothingIsOlderThanMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{takes: 50 * time.Millisecond}
		m := fresh.New(8, s.read)
		for round := range int64(20) {
			s.value.Store(round)
			written := time.Now()
			for {
				got, err := m.Get(t.Context(), "k")
				if err != nil {
					t.Fatal(err)
				}
				if got == round {
					break
				}
				if age := time.Since(written); age > fresh.MaxAge {
					t.Fatalf("after %s it is not known", age)
				}
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(700 * time.Millisecond)
		}
		if n := s.reads.Load(); n > 45 {
			t.Errorf("%d reads in some 30 s", n)
		}
		synctest.Wait()
	})
}

// TestAStoreThatIsGone: what is known is given for MaxAge, and then there is no answer; once the store is back there is.
func TestAStoreThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		m := fresh.New(8, s.read)
		if _, err := m.Get(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		s.gone.Store(true)
		time.Sleep(fresh.MaxAge - time.Millisecond)
		if _, err := m.Get(t.Context(), "k"); err != nil {
			t.Errorf("before: %v", err)
		}
		time.Sleep(2 * time.Millisecond)
		if _, err := m.Get(t.Context(), "k"); !errors.Is(err, errGone) {
			t.Errorf("after: %v", err)
		}
		s.gone.Store(false)
		if _, err := m.Get(t.Context(), "k"); err != nil {
			t.Errorf("once it is back: %v", err)
		}
		synctest.Wait()
	})
}

// TestMany: all that ask at once share a read, which outlives the one that began it; and a key that was written here is read anew, also while a read goes on.
func TestMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{takes: time.Second}
		m := fresh.New(8, s.read)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := m.Get(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who does not wait: %v", err)
			}
		})
		synctest.Wait()
		for range 50 {
			all.Go(func() {
				if _, err := m.Get(t.Context(), "k"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := s.reads.Load(); n != 1 {
			t.Errorf("%d reads", n)
		}
		time.Sleep(1500 * time.Millisecond)
		if _, err := m.Get(t.Context(), "k"); err != nil { // begins another read
			t.Fatal(err)
		}
		synctest.Wait()
		s.value.Store(7)
		m.Forget("k")
		if got, err := m.Get(t.Context(), "k"); got != 7 || err != nil {
			t.Errorf("what was written here: %d, %v", got, err)
		}
		time.Sleep(time.Second)
	})
}

// TestForgetWhileItIsRead: a read that began before a write here is not remembered after it.
func TestForgetWhileItIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{takes: 100 * time.Millisecond}
		m := fresh.New(8, s.read)
		go func() { _, _ = m.Get(t.Context(), "k") }()
		synctest.Wait()
		s.value.Store(7)
		m.Forget("k")
		time.Sleep(200 * time.Millisecond)
		if got, err := m.Get(t.Context(), "k"); got != 7 || err != nil {
			t.Errorf("%d, %v", got, err)
		}
	})
}

// TestBound: more keys than there is room for are read again.
func TestBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		m := fresh.New(4, s.read)
		for range 2 {
			for i := range 8 {
				if _, err := m.Get(t.Context(), fmt.Sprint(i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n := s.reads.Load(); n != 16 {
			t.Errorf("%d reads", n)
		}
		synctest.Wait()
	})
}

// TestASlowStore: who comes late to a read that takes long has another one.
func TestASlowStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{takes: 5 * time.Second}
		m := fresh.New(4, s.read)
		go func() { _, _ = m.Get(t.Context(), "k") }()
		time.Sleep(time.Second)
		s.value.Store(1) // the read that goes on has not seen it
		time.Sleep(time.Second)
		if got, err := m.Get(t.Context(), "k"); got != 1 || err != nil {
			t.Errorf("%d, %v", got, err)
		}
		synctest.Wait()
	})
}
