package recordtest

import (
	"errors"
	"sync/atomic"

	"holdfast/internal/record"
)

func (s *suite) deleteAlways() {
	if err := s.store.Delete(s.Context(), s.key("absent"), record.Always()); err != nil {
		s.Fatalf("delete of an absent key: %v", err)
	}
	key := s.key("k")
	_, old := s.mustCreate(key, 64)
	_, kept := s.mustCreate(s.key("k-"), 64)
	if err := s.store.Delete(s.Context(), key, record.Always()); err != nil {
		s.Fatal(err)
	}
	s.wantAbsent(key)
	if entries := s.list(s.prefix, ""); len(entries) != 1 || entries[0].Version != kept.Version {
		s.Fatalf("list after the delete: %v, want k- alone", s.names(entries))
	}
	if err := s.store.Delete(s.Context(), key, record.Always()); err != nil {
		s.Fatalf("delete again: %v", err)
	}
	_, err := s.store.Put(s.Context(), key, nonce(s.T, 64), record.IfVersion(old.Version))
	s.wantError("swap of the version that was deleted", err, record.ErrConflict)

	value, again := s.mustCreate(key, 64)
	if again.Version == old.Version {
		s.Fatalf("version %q came again after a delete", old.Version)
	}
	s.wantValue(key, value, again.Version)
}

// deleteVersion checks that a delete under a condition is decided, or refused and without effect.
func (s *suite) deleteVersion() {
	key := s.key("k")
	_, old := s.mustCreate(key, 64)
	value, current := s.mustSwap(key, old.Version)

	if err := s.store.Delete(s.Context(), key, record.IfVersion(old.Version)); !errors.Is(err, record.ErrConflict) {
		s.wantUnsupported("delete of a version that has gone", err)
	}
	s.wantValue(key, value, current.Version)

	if err := s.store.Delete(s.Context(), s.key("absent"), record.IfVersion(old.Version)); err != nil {
		s.wantUnsupported("delete of an absent key", err)
	}

	if err := s.store.Delete(s.Context(), key, record.IfVersion(current.Version)); err != nil {
		s.wantUnsupported("delete of the current version", err)
		s.wantValue(key, value, current.Version)
		return
	}
	s.wantAbsent(key)
	if entries := s.list(s.prefix, ""); len(entries) != 0 {
		s.Fatalf("list after the delete: %v", s.names(entries))
	}
}

func (s *suite) wantUnsupported(what string, err error) {
	s.Helper()
	if s.ConditionalDelete || !errors.Is(err, record.ErrUnsupported) {
		s.Fatalf("%s: unexpected result %v", what, err)
	}
}

// deleteRace lets deletes and swaps of one version race. Where deletes decide, one of all wins; where
// they are refused, one swap wins.
func (s *suite) deleteRace() {
	const racers = 8
	for range 4 {
		key := s.key(random(s.T))
		_, stamp := s.mustCreate(key, 64)
		var won, deleted atomic.Int32
		atOnce(racers, func(i int) {
			if i%2 == 0 {
				switch err := s.store.Delete(s.Context(), key, record.IfVersion(stamp.Version)); {
				case err == nil:
					deleted.Add(1)
				case !errors.Is(err, record.ErrConflict) && (s.ConditionalDelete || !errors.Is(err, record.ErrUnsupported)):
					s.Errorf("delete: %v", err)
				}
				return
			}
			switch _, err := s.store.Put(s.Context(), key, nonce(s.T, 64), record.IfVersion(stamp.Version)); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, record.ErrConflict):
				s.Errorf("swap: %v", err)
			}
		})
		// A delete that finds nothing is no error: several may follow the one that won.
		switch swaps, deletes := won.Load(), deleted.Load(); {
		case swaps > 1 || swaps == 0 && deletes == 0 || swaps == 1 && deletes > 0:
			s.Fatalf("%d swaps and %d deletes of one version won", swaps, deletes)
		case swaps == 1:
			if rec := s.mustGet(key); rec.Version == stamp.Version {
				s.Fatal("a swap won and the old version is there")
			}
		default:
			s.wantAbsent(key)
		}
	}
}
