// Package grant makes and checks bearer tokens that say what their holder may do until when, under a secret that all replicas share. A
// token cannot be taken back: it lives for hours at most. Not for users and their rights.
package grant

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// MAC is the HMAC of some fields under the secret, each with its length before it, for a domain of its own: see registry.Local.MAC.
type MAC func(domain string, fields ...[]byte) []byte

// Verify reports whether mac is one that MAC made of the fields, under a secret that is good: see registry.Local.Verify. An error says that it is
// not known.
type Verify func(ctx context.Context, mac []byte, domain string, fields ...[]byte) (bool, error)

// Admin is the purpose of a token for the operator's endpoints.
const Admin = "admin"

// MaxTTL is the longest life of a token.
const MaxTTL = 24 * time.Hour

// ErrRefused is a token that was never given, is for another purpose, or is over. It says no more: the holder need not know which.
var ErrRefused = errors.New("grant: the token is not valid, or not any more")

const (
	version   = 1
	bodyBytes = 1 + 8
	macBytes  = 32
	domain    = "grant"
)

// Make returns a token for a purpose. It is of URL-safe characters.
func Make(mac MAC, purpose string, expires time.Time) string {
	body := binary.BigEndian.AppendUint64([]byte{version}, uint64(expires.Unix())) //nolint:gosec // after 1970
	return base64.RawURLEncoding.EncodeToString(append(body, mac(domain, []byte(purpose), body)...))
}

// Check reports whether a token was made for a purpose and lives at a time, which is the store's. Errors: ErrRefused; those of verify.
func Check(ctx context.Context, verify Verify, purpose, token string, now time.Time) error {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != bodyBytes+macBytes || raw[0] != version {
		return ErrRefused
	}
	body := raw[:bodyBytes]
	switch good, err := verify(ctx, raw[bodyBytes:], domain, []byte(purpose), body); {
	case err != nil:
		return fmt.Errorf("grant: check a token: %w", err)
	case !good:
		return ErrRefused
	}
	if expires := time.Unix(int64(binary.BigEndian.Uint64(body[1:])), 0); !now.Before(expires) { //nolint:gosec // written by Make
		return ErrRefused
	}
	return nil
}
