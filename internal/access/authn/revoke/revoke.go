// Package revoke refuses what was given to a user before a time: tokens, refresh tokens, sessions and API keys. That time is a record in the store, one for each
// user of whom something was revoked; it holds at every replica within fresh.MaxAge. It is not for passwords and certificates: who may no longer come at all is
// removed where he is known.
package revoke

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/internal/access/authn/fresh"
	"holdfast/internal/format"
)

// Slack is how much the clocks of two replicas, each of which estimates the store's, may differ: what was given to a user in the time after a revocation is
// refused too. Who gives something asks Since first, and has the user wait.
const Slack = 2 * time.Second

// remembered is of how many users it is remembered at once since when their credentials are good.
const remembered = 16384

// maxUser is how long a user's name may be, in bytes; writeTries how often a write that lost a race is tried again.
const (
	maxUser    = 1024
	writeTries = 8
)

// ErrUser is a name that no user has.
var ErrUser = errors.New("revoke: the user's name is empty or too long")

// List is the list of revocations of a store. Safe for concurrent use.
type List struct {
	store format.Store
	known *fresh.Memory[string, time.Time]
}

// New returns the list in a store.
func New(store format.Store) *List {
	l := &List{store: store}
	l.known = fresh.New(remembered, l.read)
	return l
}

func (l *List) read(ctx context.Context, user string) (time.Time, error) {
	r, err := format.Read[format.Revocation](ctx, l.store, format.RevocationKey(user))
	if err != nil {
		return time.Time{}, fmt.Errorf("revoke: look whether something of a user was revoked: %w", err)
	}
	if r.Exists() && r.Is(format.Live) {
		return r.Head.NotBefore, nil
	}
	return time.Time{}, nil
}

// Covers reports whether what was given to a user at a time, by the store's clock, was revoked since. What nobody has a name for was not. It reads the store at
// most once in a second for a user. Errors: those of the store; then it is not known.
func (l *List) Covers(ctx context.Context, user string, given time.Time) (bool, error) {
	if user == "" {
		return false, nil
	}
	since, err := l.known.Get(ctx, user)
	return err == nil && !since.IsZero() && !given.After(since.Add(Slack)), err
}

// Revoke refuses what was given to a user until now, and returns since when his credentials are good. It makes one read and one write. by is for people. When it
// returns without an error it is durable, and holds at every replica after fresh.MaxAge.
// Errors: ErrUser; those of the store, after which it may hold or not: call again.
func (l *List) Revoke(ctx context.Context, user, by string) (time.Time, error) {
	if user == "" || len(user) > maxUser {
		return time.Time{}, ErrUser
	}
	defer l.known.Forget(user)
	key := format.RevocationKey(user)
	old, err := format.Read[format.Revocation](ctx, l.store, key)
	for range writeTries {
		if err != nil && !format.IsConflict(err) {
			break
		}
		now := l.store.Records.Now().UTC().Truncate(time.Millisecond)
		if old.Is(format.Live) && !old.Head.NotBefore.Before(now) {
			return old.Head.NotBefore, nil // somebody else's, later than our call
		}
		head := format.Revocation{User: user, NotBefore: now, By: by}
		head.State = format.Live
		if old, err = format.Write(ctx, l.store, key, old, head, nil, !old.Is(format.Live)); err == nil {
			return now, nil
		}
	}
	return time.Time{}, fmt.Errorf("revoke: refuse what a user was given: %w", err)
}
