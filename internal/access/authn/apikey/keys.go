package apikey

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
	"holdfast/internal/access/authn/fresh"
	"holdfast/internal/format"
)

// Prefix is what every key begins with, so that programs which look for secrets find it. After it are 32 hex digits, the key's id, and 64 that are secret.
const Prefix = "zak_"

const (
	idDigits     = 32
	secretBytes  = 32
	secretDigits = 2 * secretBytes
)

// remembered is how many keys are known at once.
const remembered = 16384

// usedEvery is how exactly it is noted when a key was used last, retryUse how soon a note is tried again, useTime how long it may take.
const (
	usedEvery = time.Hour
	retryUse  = time.Minute
	useTime   = 10 * time.Second
)

// Revoked knows what was revoked of a user, see package revoke.
type Revoked interface {
	Covers(ctx context.Context, user string, given time.Time) (bool, error)
}

// Config is what Keys are made of.
type Config struct {
	Store   format.Store
	Revoked Revoked
	// Standing is asked whether the maker of a key is still there, and for his groups. nil: keys live on without him, with the groups that he had.
	Standing authn.Standing
	Log      *slog.Logger
}

// Keys are the API keys of a store: a way of authentication, by password and by bearer token. Safe for concurrent use.
type Keys struct {
	cfg   Config
	known *fresh.Memory[string, stored]

	notes  sync.WaitGroup // of when keys were used
	mu     sync.Mutex
	noted  *simplelru.LRU[string, time.Time] // when that was tried, by this process's monotonic clock
	closed bool
}

type stored = format.Stored[format.APIKey]

var (
	_ authn.Passwords = (*Keys)(nil)
	_ authn.Bearers   = (*Keys)(nil)
)

// New returns the keys in a store.
func New(cfg Config) (*Keys, error) {
	if cfg.Revoked == nil || cfg.Log == nil || cfg.Store.Records == nil {
		return nil, errors.New("apikey: the configuration is not complete")
	}
	noted, err := simplelru.NewLRU[string, time.Time](remembered, nil)
	if err != nil {
		return nil, fmt.Errorf("apikey: make a memory of keys: %w", err)
	}
	k := &Keys{cfg: cfg, noted: noted}
	k.known = fresh.New(remembered, func(ctx context.Context, id string) (stored, error) {
		return format.Read[format.APIKey](ctx, k.cfg.Store, format.APIKeyKey(id))
	})
	return k, nil
}

// Close waits until it is noted when keys were used last: seconds at most. Requests that go on meanwhile are served; when they used a key is not noted.
func (k *Keys) Close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.notes.Wait()
}

// Is reports whether a password has the form of a key. It is so long that nobody guesses one: it needs no bound of failures by name, in which somebody who gets
// the user's password wrong would be in the way of his programs.
func Is(password string) bool {
	_, _, ok := split(password)
	return ok
}

// Seen reports whether a key of this id was shown here a while ago and was there: to look at it again costs a read that is worth it.
func (k *Keys) Seen(password string) bool {
	id, _, ok := split(password)
	if !ok {
		return false
	}
	key, found := k.known.Peek(id)
	return found && key.Is(format.Live)
}

// Check is for a key in place of a password. What does not look like a key is authn.ErrOther.
func (k *Keys) Check(ctx context.Context, name, password string) (access.Identity, error) {
	id, secret, ok := split(password)
	if !ok {
		return access.Identity{}, authn.ErrOther
	}
	return k.identify(ctx, id, secret, func(user string) bool { return user == name })
}

// Verify is for a key in place of a token.
func (k *Keys) Verify(ctx context.Context, token string) (access.Identity, error) {
	id, secret, ok := split(token)
	if !ok {
		return access.Identity{}, authn.ErrOther
	}
	return k.identify(ctx, id, secret, func(string) bool { return true })
}

// Alive returns nil while a user's key is good, for what was given to who showed it. Errors: authn.ErrWrong; those of the store.
func (k *Keys) Alive(ctx context.Context, user, id string) error {
	if !isHex(id, idDigits) {
		return authn.ErrWrong
	}
	key, err := k.known.Get(ctx, id)
	if err != nil {
		return fmt.Errorf("apikey: look at a key: %w", err)
	}
	if key.Head.User != user {
		return authn.ErrWrong
	}
	_, err = k.good(ctx, key)
	return err
}

// identify finds out whose key it is. One that nobody has costs a read of the store, as any other, and the same comparison.
func (k *Keys) identify(ctx context.Context, id string, secret []byte, of func(user string) bool) (access.Identity, error) {
	key, err := k.known.Get(ctx, id)
	if err != nil {
		return access.Identity{}, fmt.Errorf("apikey: look at a key: %w", err)
	}
	sum := sha256.Sum256(secret)
	hash := key.Head.Hash
	if len(hash) != len(sum) {
		hash = make([]byte, len(sum)) // of no secret
	}
	if same := subtle.ConstantTimeCompare(sum[:], hash) == 1; !same || !of(key.Head.User) {
		return access.Identity{}, authn.ErrWrong
	}
	who, err := k.good(ctx, key)
	if err != nil {
		return access.Identity{}, err
	}
	who.Way, who.Key = access.APIKey, id
	if who.Limits, err = limits(key.Head.Scopes); err != nil {
		return access.Identity{}, fmt.Errorf("apikey: read the scopes of a key: %w", err)
	}
	k.used(ctx, id, key)
	return who, nil
}

// good returns the maker of a key, as he is now. Errors: authn.ErrWrong for a key that was deleted, has expired or was revoked, or whose maker is gone; those of
// the store and of who was asked.
func (k *Keys) good(ctx context.Context, key stored) (access.Identity, error) {
	head := key.Head
	who := access.Identity{Name: head.User, Groups: head.Groups, Way: access.Way(head.Way)}
	switch {
	case !key.Is(format.Live):
		return who, authn.ErrWrong
	case expired(head, k.cfg.Store.Records.Now()):
		return who, authn.ErrExpired
	}
	switch covered, err := k.cfg.Revoked.Covers(ctx, head.User, head.Created); {
	case err != nil:
		return who, fmt.Errorf("apikey: look at a key: %w", err)
	case covered:
		return who, authn.ErrWrong
	}
	if k.cfg.Standing == nil {
		return who, nil
	}
	now, err := k.cfg.Standing.Stands(ctx, who, "") // a key outlives the password that its maker had
	if err != nil {
		return who, fmt.Errorf("apikey: look at the maker of a key: %w", err)
	}
	return now, nil
}

func expired(head format.APIKey, now time.Time) bool {
	return !head.Expires.IsZero() && !now.Before(head.Expires)
}

// used notes that a key was used, once in usedEvery at all replicas together, or a little more often. Nobody waits for it; it may be lost.
func (k *Keys) used(ctx context.Context, id string, key stored) {
	now := k.cfg.Store.Records.Now().UTC().Truncate(time.Second)
	if now.Sub(key.Head.Used) < usedEvery {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if tried, found := k.noted.Get(id); k.closed || found && time.Since(tried) < retryUse {
		return
	}
	k.noted.Add(id, time.Now())
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), useTime)
	k.notes.Go(func() {
		defer cancel()
		head := key.Head
		head.Used = now
		_, err := format.Write(ctx, k.cfg.Store, format.APIKeyKey(id), key, head, nil, false)
		if err != nil && !format.IsConflict(err) {
			k.cfg.Log.DebugContext(ctx, "it was not noted when an API key was used", "key", id, "err", err)
		}
		k.known.Forget(id)
	})
}

// split takes a key apart. It reports false for what is none by its form.
func split(key string) (id string, secret []byte, ok bool) {
	rest, found := strings.CutPrefix(key, Prefix)
	if !found || !isHex(rest, idDigits+secretDigits) {
		return "", nil, false
	}
	secret, err := hex.DecodeString(rest[idDigits:])
	return rest[:idDigits], secret, err == nil
}

func isHex(text string, digits int) bool {
	return len(text) == digits && strings.Trim(text, "0123456789abcdef") == ""
}

// newKey returns a key, its id, and the hash of its secret part.
func newKey() (key, id string, hash []byte) {
	var secret [secretBytes]byte
	_, _ = rand.Read(secret[:]) // never fails: crypto/rand
	sum := sha256.Sum256(secret[:])
	id = format.RandomID()
	return Prefix + id + hex.EncodeToString(secret[:]), id, sum[:]
}
