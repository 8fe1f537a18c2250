package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/internal/record"
)

// stored is a value as it was read: its head, its body, and the stamp to swap it by. A key without a
// value has the zero Version and the state absent.
type stored[H any] struct {
	Head H
	Body []byte
	record.Stamp
	state state
}

// exists reports whether the key has a value, dead or void ones included.
func (s *stored[H]) exists() bool { return s.Version != "" }

// is reports whether the value is in one of the states.
func (s *stored[H]) is(states ...state) bool {
	for _, want := range states {
		if s.state == want {
			return true
		}
	}
	return false
}

// present reports whether readers see the value: live, or condemned and not yet dead.
func (s *stored[H]) present() bool { return s.is(live, condemned) }

// headOf is a pointer to a head type.
type headOf[H any] interface {
	*H
	header
}

// read gets a key's value. A key without one is no error.
func read[H any, P headOf[H]](ctx context.Context, l *Local, key record.Key) (stored[H], error) {
	rec, err := l.records.Get(ctx, key)
	switch {
	case errors.Is(err, record.ErrNotFound):
		return stored[H]{}, nil
	case err != nil:
		return stored[H]{}, fmt.Errorf("registry: read %s: %w", key, err)
	}
	return parse[H, P](l, key, rec)
}

func parse[H any, P headOf[H]](l *Local, key record.Key, rec record.Record) (stored[H], error) {
	s := stored[H]{Stamp: rec.Stamp}
	body, err := decode(rec.Value, P(&s.Head))
	if err != nil {
		return stored[H]{}, fmt.Errorf("registry: read %s: %w", key, err)
	}
	s.Body = body
	base := P(&s.Head).base()
	if s.state = base.State; s.state == "" {
		s.state = live
	}
	// The deadline rule: a create that landed long after it was sent counts for nothing.
	if base.Fresh && rec.Modified.Sub(base.T) > l.ages.Request {
		s.state = absent
	}
	return s, nil
}

// write swaps what was read as old for a new value: under "absent" when there was no value, else under
// old's version. A value that comes to life from nothing, death or voidness is marked fresh when
// there was none, or when install says so.
// Errors: record.ErrConflict; then the value that is there now is returned, read after the attempt. It is a conflict as well when the
// answer was lost and the value that is there has replaced old itself: then ours never was.
func write[H any, P headOf[H]](ctx context.Context, l *Local, key record.Key, old stored[H], head H, body []byte, install bool) (stored[H], error) {
	base := P(&head).base()
	base.Version = formatVersion
	base.Nonce = randomID()
	base.T = l.records.Now().UTC().Truncate(time.Millisecond)
	cond, over := record.IfAbsent(), noValue
	if old.exists() {
		cond, over = record.IfVersion(old.Version), P(&old.Head).base().Nonce
	}
	if base.Over = over; base.State == dead {
		base.Over = "" // there is no room for it
	}
	base.Fresh = install || cond.Absent()
	value, err := encode(P(&head), body)
	if err != nil {
		return stored[H]{}, err
	}
	stamp, err := l.records.Put(ctx, key, value, cond)
	if err == nil {
		s := stored[H]{Head: head, Body: body, Stamp: stamp, state: base.State}
		if s.state == "" {
			s.state = live
		}
		return s, nil
	}
	var unsure *record.Uncertain
	if errors.As(err, &unsure) {
		if current, readErr := parse[H, P](l, key, unsure.Current); readErr == nil && P(&current.Head).base().Over == over {
			return current, fmt.Errorf("registry: write %s: %w", key, record.ErrConflict)
		}
	}
	if !errors.Is(err, record.ErrConflict) {
		return stored[H]{}, fmt.Errorf("registry: write %s: %w", key, err)
	}
	current, readErr := currentOf[H, P](ctx, l, key, err)
	if readErr != nil {
		return stored[H]{}, readErr
	}
	return current, fmt.Errorf("registry: write %s: %w", key, record.ErrConflict)
}

// writeOrFind is write for a value that is as good when another request wrote it: also after an answer
// that was lost it returns what is there now, with an error that is a record.ErrConflict and, by
// maybeWritten, says that ours may have been there before.
func writeOrFind[H any, P headOf[H]](ctx context.Context, l *Local, key record.Key, old stored[H], head H, body []byte, install bool) (stored[H], error) {
	s, err := write[H, P](ctx, l, key, old, head, body, install)
	var unsure *record.Uncertain
	if err == nil || !errors.As(err, &unsure) {
		return s, err
	}
	current, readErr := parse[H, P](l, key, unsure.Current)
	if readErr != nil {
		return stored[H]{}, readErr
	}
	return current, fmt.Errorf("%w: %w", record.ErrConflict, err)
}

// maybeWritten reports a lost race of which it is not known whether our value was there for a while.
func maybeWritten(err error) bool {
	var unsure *record.Uncertain
	return errors.As(err, &unsure)
}

func currentOf[H any, P headOf[H]](ctx context.Context, l *Local, key record.Key, conflict error) (stored[H], error) {
	var seen *record.Conflict
	if !errors.As(conflict, &seen) {
		return read[H, P](ctx, l, key)
	}
	if seen.Current.Version == "" {
		return stored[H]{}, nil
	}
	return parse[H, P](l, key, seen.Current)
}

// swap is write for a value that keeps its body and is not a new installation.
func swap[H any, P headOf[H]](ctx context.Context, l *Local, key record.Key, old stored[H], to state) (stored[H], error) {
	head := old.Head
	P(&head).base().State = to
	return write[H, P](ctx, l, key, old, head, old.Body, false)
}

// isConflict reports whether a write lost a race, so that the caller looks again.
func isConflict(err error) bool { return errors.Is(err, record.ErrConflict) }
