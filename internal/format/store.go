package format

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/internal/record"
)

// Store reads and swaps values in a record store. Ages.Request is what the deadline rule goes by.
type Store struct {
	Records record.Store
	Ages    Ages
	Scales  Scales // nil: nobody asks what repositories hold
}

// Stored is a value as it was read: its head, its body, and the stamp to swap it by. A key without a
// value has the zero Version and the state Absent; so has a void value, but for its version.
type Stored[H any] struct {
	Head H
	Body []byte
	record.Stamp
	State State
}

// Exists reports whether the key has a value, dead or void ones included.
func (s *Stored[H]) Exists() bool { return s.Version != "" }

// Is reports whether the value is in one of the states.
func (s *Stored[H]) Is(states ...State) bool {
	for _, want := range states {
		if s.State == want {
			return true
		}
	}
	return false
}

// Present reports whether readers see the value: live, or condemned and not yet dead.
func (s *Stored[H]) Present() bool { return s.Is(Live, Condemned) }

// HeadOf is a pointer to a head type.
type HeadOf[H any] interface {
	*H
	Header
}

// Read gets a key's value. A key without one is no error.
func Read[H any, P HeadOf[H]](ctx context.Context, s Store, key record.Key) (Stored[H], error) {
	rec, err := s.Records.Get(ctx, key)
	switch {
	case errors.Is(err, record.ErrNotFound):
		return Stored[H]{}, nil
	case err != nil:
		return Stored[H]{}, fmt.Errorf("format: read %s: %w", key, err)
	}
	return Parse[H, P](s, key, rec)
}

// Parse reads a record that was got from the store.
func Parse[H any, P HeadOf[H]](s Store, key record.Key, rec record.Record) (Stored[H], error) {
	v := Stored[H]{Stamp: rec.Stamp}
	body, err := Decode(rec.Value, P(&v.Head))
	if err != nil {
		return Stored[H]{}, fmt.Errorf("format: read %s: %w", key, err)
	}
	v.Body = body
	base := P(&v.Head).base()
	if v.State = base.State; v.State == "" {
		v.State = Live
	}
	// The deadline rule: a create that landed long after it was sent counts for nothing.
	if base.Fresh && rec.Modified.Sub(base.T) > s.Ages.Request {
		v.State = Absent
	}
	return v, nil
}

// Write swaps what was read as old for a new value: under "absent" when there was no value, else under
// old's version. A value that comes to life from nothing, death or voidness is marked fresh when
// there was none, or when install says so.
// Errors: those of s.Scales, before anything was written; record.ErrConflict; then the value that is there now is returned, read after the attempt. It is a conflict as well when the
// answer was lost and the value that is there has replaced old itself: then ours never was. An error also when ours landed so late that it is void by the deadline rule.
func Write[H any, P HeadOf[H]](ctx context.Context, s Store, key record.Key, old Stored[H], head H, body []byte, install bool) (Stored[H], error) {
	base := P(&head).base()
	base.Version = Version
	base.Nonce = RandomID()
	base.T = s.Records.Now().UTC().Truncate(time.Millisecond)
	cond, over := record.IfAbsent(), NoValue
	if old.Exists() {
		cond, over = record.IfVersion(old.Version), P(&old.Head).base().Nonce
	}
	if base.Over = over; base.State == Dead {
		base.Over = "" // there is no room for it
	}
	base.Fresh = install || cond.Absent()
	value, err := Encode(P(&head), body)
	if err != nil {
		return Stored[H]{}, err
	}
	v := Stored[H]{Head: head, Body: body, State: base.State}
	if v.State == "" {
		v.State = Live
	}
	done, err := weigh[H, P](ctx, s, key, old, v)
	if err != nil {
		// What is there already takes no room, and the write would have found it: maybe nobody has looked, or another has written it since.
		if current, readErr := Read[H, P](ctx, s, key); readErr == nil && current.Version != old.Version {
			return current, fmt.Errorf("format: write %s: %w", key, record.ErrConflict)
		}
		return Stored[H]{}, fmt.Errorf("format: write %s: %w", key, err)
	}
	outcome := Unknown
	defer func() { done(outcome) }()
	stamp, err := s.Records.Put(ctx, key, value, cond)
	if err == nil {
		if base.Fresh && stamp.Modified.Sub(base.T) > s.Ages.Request { // it counts for nothing, to everybody
			return Stored[H]{}, fmt.Errorf("format: write %s: it landed %s after it was sent, or the store's clock is not known here: %w", key, stamp.Modified.Sub(base.T), record.ErrUnavailable)
		}
		v.Stamp, outcome = stamp, Landed
		return v, nil
	}
	var unsure *record.Uncertain
	if errors.As(err, &unsure) {
		if current, readErr := Parse[H, P](s, key, unsure.Current); readErr == nil && P(&current.Head).base().Over == over {
			outcome = Lost
			return current, fmt.Errorf("format: write %s: %w", key, record.ErrConflict)
		}
	}
	if !errors.Is(err, record.ErrConflict) {
		return Stored[H]{}, fmt.Errorf("format: write %s: %w", key, err)
	}
	outcome = Lost
	current, readErr := currentOf[H, P](ctx, s, key, err)
	if readErr != nil {
		return Stored[H]{}, readErr
	}
	return current, fmt.Errorf("format: write %s: %w", key, record.ErrConflict)
}

// WriteOrFind is Write for a value that is as good when another request wrote it: also after an answer
// that was lost it returns what is there now, with an error that is a record.ErrConflict and, by
// MaybeWritten, says that ours may have been there before.
func WriteOrFind[H any, P HeadOf[H]](ctx context.Context, s Store, key record.Key, old Stored[H], head H, body []byte, install bool) (Stored[H], error) {
	v, err := Write[H, P](ctx, s, key, old, head, body, install)
	var unsure *record.Uncertain
	if err == nil || !errors.As(err, &unsure) {
		return v, err
	}
	current, readErr := Parse[H, P](s, key, unsure.Current)
	if readErr != nil {
		return Stored[H]{}, readErr
	}
	return current, fmt.Errorf("%w: %w", record.ErrConflict, err)
}

// MaybeWritten reports a lost race of which it is not known whether our value was there for a while.
func MaybeWritten(err error) bool {
	var unsure *record.Uncertain
	return errors.As(err, &unsure)
}

func currentOf[H any, P HeadOf[H]](ctx context.Context, s Store, key record.Key, conflict error) (Stored[H], error) {
	var seen *record.Conflict
	if !errors.As(conflict, &seen) {
		return Read[H, P](ctx, s, key)
	}
	if seen.Current.Version == "" {
		return Stored[H]{}, nil
	}
	return Parse[H, P](s, key, seen.Current)
}

// Swap is Write for a value that keeps its body and is not a new installation.
func Swap[H any, P HeadOf[H]](ctx context.Context, s Store, key record.Key, old Stored[H], to State) (Stored[H], error) {
	head := old.Head
	P(&head).base().State = to
	return Write[H, P](ctx, s, key, old, head, old.Body, false)
}

// IsConflict reports whether a write lost a race, so that the caller looks again.
func IsConflict(err error) bool { return errors.Is(err, record.ErrConflict) }

// Killed returns a head as that of a tombstone.
func Killed[H any, P HeadOf[H]](head H) H {
	P(&head).base().State = Dead
	return head
}
