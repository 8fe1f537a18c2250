package recordtest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"holdfast/internal/record"
)

// race lets racers put under one condition at once and checks that one of them wins: the others get
// ErrConflict, and the winner's value is the one that stays.
func (s *suite) race(key record.Key, cond record.Cond) record.Stamp {
	s.Helper()
	const racers = 16
	values := make([][]byte, racers)
	for i := range values {
		values[i] = nonce(s.T, 64)
	}
	stamps := make([]record.Stamp, racers)
	errs := make([]error, racers)
	atOnce(racers, func(i int) {
		stamps[i], errs[i] = s.store.Put(s.Context(), key, values[i], cond)
	})
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			s.Fatalf("two puts %s won", cond)
		case err == nil:
			winner = i
		case !errors.Is(err, record.ErrConflict):
			s.Fatalf("put %s: %v", cond, err)
		}
	}
	if winner < 0 {
		s.Fatalf("no put %s won", cond)
	}
	s.wantValue(key, values[winner], stamps[winner].Version)
	return stamps[winner]
}

func (s *suite) raceCreate() {
	for i := range 4 {
		s.race(s.key(fmt.Sprint(i)), record.IfAbsent())
	}
}

func (s *suite) raceSwap() {
	key := s.key("k")
	_, stamp := s.mustCreate(key, 64)
	for range 4 {
		stamp = s.race(key, record.IfVersion(stamp.Version))
	}
}

// raceCounter is the loop that every rule of the registry is made of: read, change, swap, again.
func (s *suite) raceCounter() {
	const writers, increments = 8, 5
	key := s.key("counter")
	counter := func(n uint64) []byte {
		return append(binary.BigEndian.AppendUint64(nil, n), nonce(s.T, 16)...)
	}
	if _, err := s.store.Put(s.Context(), key, counter(0), record.IfAbsent()); err != nil {
		s.Fatal(err)
	}
	var acknowledged atomic.Uint64
	atOnce(writers, func(int) {
		for done := 0; done < increments; {
			rec, err := s.store.Get(s.Context(), key)
			if err != nil {
				s.Errorf("get: %v", err)
				return
			}
			next := counter(binary.BigEndian.Uint64(rec.Value) + 1)
			switch _, err := s.store.Put(s.Context(), key, next, record.IfVersion(rec.Version)); {
			case err == nil:
				acknowledged.Add(1)
				done++
			case !errors.Is(err, record.ErrConflict):
				s.Errorf("swap: %v", err)
				return
			}
		}
	})
	got := binary.BigEndian.Uint64(s.mustGet(key).Value)
	if want := acknowledged.Load(); got != want || want != writers*increments && !s.Failed() {
		s.Fatalf("the counter is %d after %d acknowledged increments", got, want)
	}
}

// raceList checks lists and reads while others write: what was acknowledged before is there, whole.
func (s *suite) raceList() {
	const writers, each = 4, 20
	var (
		mu           sync.Mutex
		acknowledged = map[record.Key]bool{}
		writing      atomic.Int32
	)
	writing.Store(writers)
	atOnce(writers+2, func(i int) {
		if i < writers {
			defer writing.Add(-1)
			for n := range each {
				key := s.key(fmt.Sprintf("%d-%d", n, i))
				// Halves that must agree: a torn value is seen.
				half := nonce(s.T, 2048)
				if _, err := s.store.Put(s.Context(), key, append(half, half...), record.IfAbsent()); err != nil {
					s.Errorf("create: %v", err)
					return
				}
				mu.Lock()
				acknowledged[key] = true
				mu.Unlock()
			}
			return
		}
		for rounds := 0; writing.Load() > 0 && rounds < 50; rounds++ {
			mu.Lock()
			missing := make(map[record.Key]bool, len(acknowledged))
			for key := range acknowledged {
				missing[key] = true
			}
			mu.Unlock()
			last := record.Key("")
			for entry, err := range s.store.List(s.Context(), s.prefix, "") {
				if err != nil {
					s.Errorf("list: %v", err)
					return
				}
				if entry.Key <= last || entry.Size != 4096 {
					s.Errorf("list beside writers: %+v after %s", entry, last)
				}
				last = entry.Key
				delete(missing, entry.Key)
			}
			if len(missing) > 0 {
				s.Errorf("list beside writers: %d keys acknowledged before are not there", len(missing))
				return
			}
			if last == "" {
				continue
			}
			rec, err := s.store.Get(s.Context(), last)
			if err != nil {
				s.Errorf("get of a listed key: %v", err)
			} else if !bytes.Equal(rec.Value[:2048], rec.Value[2048:]) {
				s.Error("get of a listed key: torn value")
			}
		}
	})
}
