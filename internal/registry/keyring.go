package registry

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"holdfast/internal/format"
)

// keyring is the cluster's secret as this process knows it. Another process may replace it at any time: what is not signed by a secret
// that is known is looked at again once the record was read anew. Safe for concurrent use.
type keyring struct {
	known atomic.Pointer[format.Stored[format.Secret]]
	turn  chan struct{} // holds one token: one read at a time, and what follows
	began time.Time     // when the last read began, by this process's monotonic clock
	err   error         // what came of it
	every time.Duration // there is no read sooner after another, whoever sends whatever
}

// rereadEvery is how often signatures that nobody made can have the secret read, rereadTime how long one read may take.
const (
	rereadEvery = time.Second
	rereadTime  = 10 * time.Second
)

// keptSecrets is how many earlier secrets may verify at once.
const keptSecrets = 8

// errBrokenSecret says what to do about a record that is no secret.
var errBrokenSecret = errors.New("registry: the cluster's secret in the store is damaged: restore cfg/secret, or delete it and restart every replica (uploads in progress are lost)")

// openSecret takes the cluster's secret as it was read, or reads it. The first replica makes it.
func (l *Local) openSecret(ctx context.Context, s format.Stored[format.Secret]) (err error) {
	l.keys.turn, l.keys.every = make(chan struct{}, 1), rereadEvery
	if !s.Exists() {
		if s, err = read[format.Secret](ctx, l, format.KeySecret); err != nil {
			return err
		}
	}
	if !s.Exists() {
		s, err = write(ctx, l, format.KeySecret, s, format.Secret{Secret: newSecret()}, nil, false)
		if err != nil && !isConflict(err) {
			return err
		}
	}
	return l.keys.learn(s)
}

func newSecret() []byte { return []byte(format.RandomID() + format.RandomID()) }

// learn takes a record that was read.
func (k *keyring) learn(s format.Stored[format.Secret]) error {
	if len(s.Head.Secret) < format.MinSecretBytes {
		return errBrokenSecret
	}
	k.known.Store(&s)
	return nil
}

// take waits for the turn, which the function that it returns gives back.
func (k *keyring) take(ctx context.Context) (done func(), err error) {
	select {
	case k.turn <- struct{}{}:
		return func() { <-k.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// RefreshSecret reads the cluster's secret anew, with one request, so that one that was replaced elsewhere signs here too. Errors: those of
// the store; then the last one that is known stays in use.
func (l *Local) RefreshSecret(ctx context.Context) error {
	done, err := l.keys.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	return l.readSecret(ctx)
}

// readSecret is called by who has the turn.
func (l *Local) readSecret(ctx context.Context) error {
	l.keys.began = time.Now()
	s, err := read[format.Secret](ctx, l, format.KeySecret)
	if err == nil {
		err = l.keys.learn(s)
	} else {
		err = fmt.Errorf("registry: read the cluster's secret: %w", err)
	}
	l.keys.err = err
	return err
}

// rereadSecret returns after a read that began after the call, its own or another's: all that wait share one, and its error.
func (l *Local) rereadSecret(ctx context.Context) error {
	called := time.Now()
	done, err := l.keys.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	if l.keys.began.After(called) {
		return l.keys.err
	}
	if !l.keys.began.IsZero() {
		timer := time.NewTimer(l.keys.every - time.Since(l.keys.began))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	// The read is everybody's who waits: it does not end with the client that happened to be first.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rereadTime)
	defer cancel()
	return l.readSecret(ctx)
}

// MAC returns the HMAC-SHA256 of some fields, each with its length before it, under the cluster's secret: every replica makes the same.
// domain is what it is for: no other use of the secret may have the same.
func (l *Local) MAC(domain string, fields ...[]byte) []byte {
	return macUnder(l.keys.known.Load().Head.Secret, domain, fields)
}

// Verify reports whether mac, or the part of one that is kept, was made by MAC of the same fields at any replica: under the secret that is in use,
// or under an earlier one until a session's age after it was replaced. It makes no request for what it finds good. What it does not is
// looked at again after the secret was read anew, which is bounded: it may wait for a second, and then for the store.
// Errors: those of the store; then nothing is known of mac.
func (l *Local) Verify(ctx context.Context, mac []byte, domain string, fields ...[]byte) (bool, error) {
	if l.verifies(mac, domain, fields) {
		return true, nil
	}
	if err := l.rereadSecret(ctx); err != nil {
		return false, err
	}
	return l.verifies(mac, domain, fields), nil
}

// Keys returns what MAC of no fields is under each secret that verifies, the one that is in use first: keys for whoever signs by another method. What none of
// them verifies may be signed under a secret that another replica knows already: see RereadSecret.
func (l *Local) Keys(domain string) [][]byte {
	known, now := l.keys.known.Load(), l.records.Now()
	keys := [][]byte{macUnder(known.Head.Secret, domain, nil)}
	for _, old := range known.Head.Previous {
		if l.stillVerifies(old, now) {
			keys = append(keys, macUnder(old.Secret, domain, nil))
		}
	}
	return keys
}

// RereadSecret returns after the secret was read anew, by a read that began after the call. It is for those who were shown what none of Keys verifies, and is
// bounded as Verify is: it may wait for a second, and then for the store. Errors: those of the store.
func (l *Local) RereadSecret(ctx context.Context) error { return l.rereadSecret(ctx) }

func (l *Local) verifies(mac []byte, domain string, fields [][]byte) bool {
	under := func(secret []byte) bool {
		want := macUnder(secret, domain, fields)
		return len(mac) >= tokenMACBytes && len(mac) <= len(want) && hmac.Equal(mac, want[:len(mac)])
	}
	known := l.keys.known.Load()
	if under(known.Head.Secret) {
		return true
	}
	now := l.records.Now()
	for _, old := range known.Head.Previous {
		if l.stillVerifies(old, now) && under(old.Secret) {
			return true
		}
	}
	return false
}

// stillVerifies reports whether an earlier secret is good: what was signed under it was to live for so long at most.
func (l *Local) stillVerifies(old format.RetiredSecret, now time.Time) bool {
	return now.Sub(old.Retired) < l.ages.Session
}

func macUnder(secret []byte, domain string, fields [][]byte) []byte {
	mac := hmac.New(sha256.New, secret)
	for _, field := range append([][]byte{[]byte(domain)}, fields...) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(field)))
		mac.Write(n[:])
		mac.Write(field)
	}
	return mac.Sum(nil)
}

// Rotation is what came of replacing the cluster's secret.
type Rotation struct {
	Rotated  time.Time `json:"rotated"`        // by the store's clock
	OldUntil time.Time `json:"oldUntil"`       // what was signed before is good until then; Rotated when it was revoked
	Kept     int       `json:"secretsThatEnd"` // earlier secrets that still verify
}

// RotateSecret replaces the cluster's secret: the new one signs, and those before it verify until a session's age after they were replaced; with
// revoke they verify no more, and what was signed by them is lost. Other replicas learn of it when they are shown what it signed, and by RefreshSecret.
// It makes one read and one write. Errors: record.ErrConflict when somebody else replaced it at the same time; then it was replaced, once. After any other
// error it may have been.
func (l *Local) RotateSecret(ctx context.Context, revoke bool) (Rotation, error) {
	done, err := l.keys.take(ctx)
	if err != nil {
		return Rotation{}, err
	}
	defer done()
	s, err := read[format.Secret](ctx, l, format.KeySecret)
	if err != nil {
		return Rotation{}, fmt.Errorf("registry: rotate the cluster's secret: %w", err)
	}
	if len(s.Head.Secret) < format.MinSecretBytes {
		return Rotation{}, errBrokenSecret
	}
	now := l.records.Now().UTC().Truncate(time.Millisecond)
	next := s.Head
	next.Secret, next.Previous = newSecret(), nil
	out := Rotation{Rotated: now, OldUntil: now}
	if !revoke {
		out.OldUntil = now.Add(l.ages.Session)
		next.Previous = append(next.Previous, format.RetiredSecret{Secret: s.Head.Secret, Retired: now})
		for _, old := range s.Head.Previous {
			if l.stillVerifies(old, now) {
				next.Previous = append(next.Previous, old)
			}
		}
	}
	if out.Kept = len(next.Previous); out.Kept > keptSecrets {
		return Rotation{}, fmt.Errorf("registry: rotate the cluster's secret: %d earlier ones are still good: wait until %s, or revoke them",
			out.Kept-1, next.Previous[out.Kept-1].Retired.Add(l.ages.Session).Format(time.RFC3339))
	}
	if s, err = write(ctx, l, format.KeySecret, s, next, nil, false); err != nil {
		return Rotation{}, fmt.Errorf("registry: rotate the cluster's secret: %w", err)
	}
	return out, l.keys.learn(s)
}
