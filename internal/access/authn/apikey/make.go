package apikey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/access"
	"holdfast/internal/format"
	"holdfast/internal/record"
)

// Limits of what users may make.
const (
	MostKeys   = 100 // of one user; a few more when he makes several at one moment
	mostScopes = 64
	mostLabel  = 256 // bytes
	mostAgent  = 256
	mostUser   = 1024
	mostGroups = 1000
)

// readAtOnce is how many keys of a list are read at once, writeTries how often a write that lost a race is tried again.
const (
	readAtOnce = 8
	writeTries = 8
)

// Errors of who asks for what cannot be.
var (
	ErrTooMany   = fmt.Errorf("apikey: a user has at most %d keys: delete some", MostKeys)
	ErrUnknown   = errors.New("apikey: the user has no such key")
	ErrLabel     = fmt.Errorf("apikey: a label has at most %d bytes", mostLabel)
	ErrScopes    = fmt.Errorf("apikey: a key has at most %d scopes", mostScopes)
	ErrExpires   = errors.New("apikey: the expiration date is over")
	ErrMaker     = errors.New("apikey: keys are made by who has logged in by a password, a certificate or a browser")
	errWait      = errors.New("apikey: what the user was given was revoked a moment ago, and a key of now would be revoked with it: try again")
	errNoSuccess = errors.New("apikey: others change the key all the time")
)

// Key is what is shown of a key: never the key.
type Key struct {
	ID                     string
	Label, Agent           string
	Scopes                 []string
	Created, Expires, Used time.Time // Expires zero: never; Used zero: never, or not noted
	Expired                bool
}

func (k *Keys) shown(id string, head format.APIKey) Key {
	return Key{id, head.Label, head.Agent, head.Scopes, head.Created, head.Expires, head.Used, expired(head, k.cfg.Store.Records.Now())}
}

// MayMake returns nil for an identity that may have keys, and see them: who was given a key or a token himself may not make one that lives longer. Errors: ErrMaker.
func MayMake(id access.Identity) error {
	switch id.Way {
	case access.Htpasswd, access.LDAP, access.Login, access.Certificate:
		if id.Name != "" && len(id.Name) <= mostUser && id.Limits == nil && id.Key == "" {
			return nil
		}
	}
	return ErrMaker
}

// Wanted is a key that is to be made.
type Wanted struct {
	Label, Agent string
	Scopes       []string
	Expires      time.Time // zero: never
}

// Make makes a key for an identity, and returns it: nobody will ever see it again. When the process dies meanwhile there may be one that nobody knows, in the user's list.
// Errors: ErrMaker, ErrTooMany, ErrLabel, ErrScopes, ErrExpires, and for scopes that mean nothing; those of the store.
func (k *Keys) Make(ctx context.Context, who access.Identity, want Wanted) (string, Key, error) {
	now := k.cfg.Store.Records.Now().UTC().Truncate(time.Millisecond)
	_, err := limits(want.Scopes)
	switch {
	case MayMake(who) != nil:
		err = ErrMaker
	case len(want.Label) > mostLabel:
		err = ErrLabel
	case len(want.Scopes) > mostScopes:
		err = ErrScopes
	case !want.Expires.IsZero() && !now.Before(want.Expires):
		err = ErrExpires
	}
	if err != nil {
		return "", Key{}, err
	}
	switch covered, err := k.cfg.Revoked.Covers(ctx, who.Name, now); {
	case err != nil:
		return "", Key{}, fmt.Errorf("apikey: make a key: %w", err)
	case covered:
		return "", Key{}, errWait
	}
	before, err := k.List(ctx, who.Name)
	if err != nil {
		return "", Key{}, err
	}
	if len(before) >= MostKeys {
		return "", Key{}, ErrTooMany
	}
	key, id, hash := newKey()
	var marker format.Marker
	marker.State = format.Live
	if _, err := format.Write(ctx, k.cfg.Store, format.APIKeyOfKey(who.Name, id), format.Stored[format.Marker]{}, marker, nil, true); err != nil {
		return "", Key{}, fmt.Errorf("apikey: make a key: %w", err)
	}
	head := format.APIKey{
		User: who.Name, Hash: hash, Label: want.Label, Scopes: want.Scopes, Created: now, Expires: want.Expires.UTC(), Way: string(who.Way),
		Groups: who.Groups[:min(len(who.Groups), mostGroups)], Agent: strings.ToValidUTF8(want.Agent[:min(len(want.Agent), mostAgent)], ""),
	}
	head.State = format.Live
	if _, err := format.Write(ctx, k.cfg.Store, format.APIKeyKey(id), stored{}, head, nil, true); err != nil {
		return "", Key{}, fmt.Errorf("apikey: make a key: %w", err)
	}
	k.known.Forget(id)
	return key, k.shown(id, head), nil
}

// List returns a user's keys, also those that have expired, the oldest first. It makes a list and a read for each, and removes what is left of keys that were deleted
// a day ago.
// Errors: those of the store.
func (k *Keys) List(ctx context.Context, user string) ([]Key, error) {
	prefix := format.APIKeysOfPrefix(user)
	var markers []record.Entry
	for entry, err := range k.cfg.Store.Records.List(ctx, prefix, "") {
		if err != nil {
			return nil, fmt.Errorf("apikey: list %s: %w", prefix, err)
		}
		markers = append(markers, entry)
	}
	found := make([]*Key, len(markers))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(readAtOnce)
	for i, marker := range markers {
		g.Go(func() error {
			id := string(marker.Key[len(prefix):])
			if !isHex(id, idDigits) {
				return nil // nobody's; fsck tells
			}
			key, err := format.Read[format.APIKey](gctx, k.cfg.Store, format.APIKeyKey(id))
			if err != nil {
				return fmt.Errorf("apikey: list the keys of a user: %w", err)
			}
			if key.Is(format.Live) && key.Head.User == user {
				one := k.shown(id, key.Head)
				found[i] = &one
				return nil
			}
			k.sweep(gctx, marker, id, key)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	keys := []Key{}
	for _, one := range found {
		if one != nil {
			keys = append(keys, *one)
		}
	}
	slices.SortStableFunc(keys, func(a, b Key) int { return a.Created.Compare(b.Created) })
	return keys, nil
}

// sweep removes the tombstone of a key, and then its marker, once nothing that was begun before can write them: ids are random, and never made again.
func (k *Keys) sweep(ctx context.Context, marker record.Entry, id string, key stored) {
	now, age := k.cfg.Store.Records.Now(), k.cfg.Store.Ages.Tombstone
	if now.Sub(marker.Modified) < age || key.Exists() && (now.Sub(key.Modified) < age || !key.Is(format.Dead, format.Absent)) {
		return
	}
	for _, at := range []record.Key{format.APIKeyKey(id), marker.Key} {
		if err := k.cfg.Store.Records.Delete(ctx, at, record.Always()); err != nil {
			k.cfg.Log.WarnContext(ctx, "what is left of an API key was not removed", "key", id, "err", err)
			return
		}
	}
}

// Delete takes a key of a user back: at this replica when it returns, at the others after fresh.MaxAge.
// Errors: ErrUnknown, also for one of somebody else; those of the store, after which it may have been deleted or not.
func (k *Keys) Delete(ctx context.Context, user, id string) error {
	if !isHex(id, idDigits) {
		return ErrUnknown
	}
	defer k.known.Forget(id)
	at := format.APIKeyKey(id)
	key, err := format.Read[format.APIKey](ctx, k.cfg.Store, at)
	for range writeTries {
		if err != nil && !format.IsConflict(err) {
			return fmt.Errorf("apikey: delete a key: %w", err)
		}
		if !key.Is(format.Live) || key.Head.User != user {
			return ErrUnknown
		}
		if key, err = format.Write(ctx, k.cfg.Store, at, key, format.Killed(format.APIKey{}), nil, false); err == nil {
			return nil
		}
	}
	return fmt.Errorf("apikey: delete a key: %w: %w", errNoSuccess, err)
}
