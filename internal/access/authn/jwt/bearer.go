package jwt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	lru "github.com/hashicorp/golang-lru/v2"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
	"holdfast/internal/access/scope"
)

const (
	maxTokenBytes   = 16 << 10
	maxSubjectBytes = 1024
	maxAccess       = 1000 // items of one token
	maxFileBytes    = 1 << 20
	rememberedMost  = 8192
	leeway          = time.Minute // how much the token server's clock may differ
	lookEvery       = 5 * time.Second
)

// Revoked knows what was revoked of a user, see package revoke.
type Revoked interface {
	Covers(ctx context.Context, user string, given time.Time) (bool, error)
}

// Config is a token server.
type Config struct {
	// File holds its public keys: PEM or a JWKS.
	File string
	// Service is what tokens must be for, in their claim aud; Issuer what they must be from, "" is anybody who has the key, as in zot and distribution.
	Service, Issuer string
	// Now is the store's clock.
	Now     func() time.Time
	Revoked Revoked // nil: nothing is
	Log     *slog.Logger
}

// Bearer verifies its tokens. Safe for concurrent use.
type Bearer struct {
	cfg   Config
	state atomic.Pointer[state]
}

var _ authn.Bearers = (*Bearer)(nil)

// state is what a file said, and what was verified by it.
type state struct {
	text  []byte
	keys  []key
	known *lru.Cache[[32]byte, *claims]
}

// New reads the file. Errors: one that cannot be read, or holds no keys that can be used.
func New(cfg Config) (*Bearer, error) {
	if cfg.Service == "" || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("jwt: the configuration of the token server is not complete")
	}
	b := &Bearer{cfg: cfg}
	return b, b.load()
}

// load reads the file, and takes what it says if that is new.
func (b *Bearer) load() error {
	text, err := os.ReadFile(b.cfg.File)
	if err == nil && len(text) > maxFileBytes {
		err = errors.New("it is too large")
	}
	if err != nil {
		return fmt.Errorf("jwt: read the keys of the token server in %s: %w", b.cfg.File, err)
	}
	if now := b.state.Load(); now != nil && bytes.Equal(now.text, text) {
		return nil
	}
	keys, err := parseKeys(text)
	if err != nil {
		return fmt.Errorf("jwt: read the keys of the token server in %s: %w", b.cfg.File, err)
	}
	known, err := lru.New[[32]byte, *claims](rememberedMost)
	if err != nil {
		return fmt.Errorf("jwt: make a memory of tokens: %w", err)
	}
	b.state.Store(&state{text, keys, known})
	return nil
}

// Run looks every 5 s whether the file has changed, until ctx ends. A file that cannot be read, or holds no keys, changes nothing: the keys of before stay.
func (b *Bearer) Run(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		before := b.state.Load()
		switch err := b.load(); {
		case err != nil && err.Error() != said:
			said = err.Error()
			b.cfg.Log.ErrorContext(ctx, "the keys of the token server were not read again: those of before stay", "err", err)
		case err == nil:
			if said = ""; b.state.Load() != before {
				b.cfg.Log.InfoContext(ctx, "the keys of the token server have changed", "path", b.cfg.File, "keys", len(b.state.Load().keys))
			}
		}
	}
}

// audience is one text or several.
type audience []string

// UnmarshalJSON takes both.
func (a *audience) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(a))
}

// claims are what is read of a token. Times are seconds since 1970.
type claims struct {
	Issuer    string         `json:"iss"`
	Subject   string         `json:"sub"`
	Audience  audience       `json:"aud"`
	Expires   float64        `json:"exp"`
	NotBefore float64        `json:"nbf"`
	Issued    float64        `json:"iat"`
	Access    []scope.Access `json:"access"`
}

// Verify returns whom a token was given to, with what it allows, which the rules of the registry add nothing to and take nothing from. Its name may be empty: token
// servers give tokens to nobody too.
// Errors: authn.ErrOther for what no key here has signed; authn.ErrExpired; authn.ErrWrong for a token that is not for this service, or was revoked; those of the store.
func (b *Bearer) Verify(ctx context.Context, token string) (access.Identity, error) {
	c, err := b.signed(token)
	if err != nil {
		return access.Identity{}, err
	}
	now := b.cfg.Now()
	at, slack := float64(now.Unix()), leeway.Seconds()
	switch {
	case at+slack < max(c.NotBefore, c.Issued), !slices.Contains(c.Audience, b.cfg.Service), b.cfg.Issuer != "" && c.Issuer != b.cfg.Issuer:
		return access.Identity{}, authn.ErrWrong
	case at-slack >= c.Expires:
		return access.Identity{}, authn.ErrExpired
	case len(c.Subject) > maxSubjectBytes, len(c.Access) > maxAccess:
		return access.Identity{}, authn.ErrWrong
	}
	if b.cfg.Revoked != nil {
		switch covered, err := b.cfg.Revoked.Covers(ctx, c.Subject, time.Unix(int64(c.Issued), 0)); {
		case err != nil:
			return access.Identity{}, fmt.Errorf("jwt: check a token: %w", err)
		case covered:
			return access.Identity{}, authn.ErrWrong
		}
	}
	return access.Identity{Name: c.Subject, Way: access.Bearer, Limits: scope.Limits(c.Access, true, now)}, nil
}

// signed verifies the signature of a token, or remembers that it did.
func (b *Bearer) signed(token string) (*claims, error) {
	if len(token) > maxTokenBytes {
		return nil, authn.ErrOther
	}
	s := b.state.Load()
	sum := sha256.Sum256([]byte(token))
	if c, found := s.known.Get(sum); found {
		return c, nil
	}
	if !authn.IsCompact(token) {
		return nil, authn.ErrOther
	}
	signed, err := jose.ParseSignedCompact(token, allAlgs())
	if err != nil || len(signed.Signatures) != 1 || !plain(token) {
		return nil, authn.ErrOther
	}
	head := signed.Signatures[0].Protected
	for _, k := range s.choose(head.KeyID, jose.SignatureAlgorithm(head.Algorithm)) {
		payload, err := signed.Verify(k.public)
		if err != nil {
			continue
		}
		var c claims
		if json.Unmarshal(payload, &c) != nil {
			return nil, authn.ErrWrong
		}
		s.known.Add(sum, &c)
		return &c, nil
	}
	return nil, authn.ErrOther
}

// choose returns the keys that may have signed a token: of those that have its key's id, else of all, those that sign by its algorithm. What else its header says
// of keys (jwk, x5c, jku, x5u) is not looked at.
func (s *state) choose(id string, alg jose.SignatureAlgorithm) []key {
	keys := s.keys
	if named := slices.DeleteFunc(slices.Clone(keys), func(k key) bool { return k.id != id }); id != "" && len(named) > 0 {
		keys = named
	}
	return slices.DeleteFunc(slices.Clone(keys), func(k key) bool { return !slices.Contains(k.algs, alg) })
}

// plain reports whether a token's header asks for nothing that we would have to understand.
func plain(token string) bool {
	head, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(head)
	var h map[string]json.RawMessage
	return err == nil && json.Unmarshal(text, &h) == nil && h["crit"] == nil && h["b64"] == nil
}
