package issue

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
	"holdfast/internal/access/scope"
	"holdfast/internal/format"
)

// issuer is the claim iss of our tokens, tokenType the header typ.
const (
	issuer    = "holdfast"
	tokenType = "JWT"
)

// use is what a token is for: one for the other is refused.
type use string

const (
	forAccess  use = "access"
	forRefresh use = "refresh"
)

// claims are what a token says. Times are seconds since 1970, by the store's clock.
type claims struct {
	Issuer    string         `json:"iss"`
	Subject   string         `json:"sub"` // "" is nobody
	Audience  string         `json:"aud"`
	Expires   int64          `json:"exp"`
	NotBefore int64          `json:"nbf"`
	Issued    int64          `json:"iat"`
	ID        string         `json:"jti"`
	Access    []scope.Access `json:"access"`
	// The rest is ours.
	Use    use        `json:"use"`
	Way    access.Way `json:"way,omitempty"`
	Groups []string   `json:"groups,omitempty"`
	Print  string     `json:"fp,omitempty"`  // of the credentials that it was given for
	Key    string     `json:"key,omitempty"` // the id of an API key that it was given for
}

// identity is whom a token is for, as the way found him that it was given for.
func (c *claims) identity() access.Identity {
	return access.Identity{Name: c.Subject, Groups: c.Groups, Way: c.Way, Key: c.Key}
}

// header is what stands before each of our tokens: nothing else is one.
type header struct {
	Algorithm string `json:"alg"`
	Key       string `json:"kid"`
	Type      string `json:"typ"`
}

// sign makes a token. Errors: one that would be longer than proxies take.
func (i *Issuer) sign(c claims) (string, error) {
	all, err := i.keys.all()
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("issue: write a token: %w", err)
	}
	signed, err := all[0].signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("issue: sign a token: %w", err)
	}
	token, err := signed.CompactSerialize()
	if err == nil && len(token) > maxTokenBytes {
		err = fmt.Errorf("%d bytes, at most %d: the user is in too many groups, or the client asked for too much", len(token), maxTokenBytes)
	}
	if err != nil {
		return "", fmt.Errorf("issue: sign a token: %w", err)
	}
	return token, nil
}

// newClaims are those of a token that is given now.
func (i *Issuer) newClaims(id access.Identity, print string, u use, ttl time.Duration, all []scope.Access) claims {
	now := i.cfg.Now()
	if all == nil {
		all = []scope.Access{}
	}
	return claims{
		Issuer: issuer, Subject: id.Name, Audience: i.cfg.Service, Expires: now.Add(ttl).Unix(), NotBefore: now.Unix(), Issued: now.Unix(), ID: format.RandomID(),
		Access: all, Use: u, Way: id.Way, Groups: id.Groups, Print: print, Key: id.Key,
	}
}

// verified is a token whose signature is good, and what it says.
type verified struct {
	claims claims
	key    string // the id of what it is signed with
	limits *access.Limits
}

// Verify returns whom a token was given for, with the limits that it has, and asks at each use whether it still stands: the secret that signed it was not revoked,
// nor what the user was given until then (2 s at most at other replicas), nor the API key that it was given for; and Standing stands by the credentials. A token for
// nobody is an identity that is anonymous and has limits.
// Errors: authn.ErrOther for what is no token of ours; authn.ErrWrong, and ErrExpired; anything else is a store or backend that could not be asked.
func (i *Issuer) Verify(ctx context.Context, token string) (access.Identity, error) {
	v, err := i.check(ctx, token, forAccess)
	if err != nil {
		return access.Identity{}, err
	}
	id, err := i.stands(ctx, &v.claims)
	if err != nil {
		return access.Identity{}, err
	}
	if !id.Anonymous() {
		id.Way = access.Token
	}
	id.Limits = v.limits
	return id, nil
}

// check verifies what a token says by itself: signature, audience, use and times.
func (i *Issuer) check(ctx context.Context, token string, want use) (*verified, error) {
	v, err := i.signed(ctx, token)
	if err != nil {
		return nil, err
	}
	now, c := i.cfg.Now(), &v.claims
	early := now.Add(leeway).Unix() < max(c.NotBefore, c.Issued)
	switch past := now.Add(-leeway).Unix() >= c.Expires; {
	case c.Audience != i.cfg.Service || c.Use != want || early:
		return nil, authn.ErrWrong
	case past:
		return nil, authn.ErrExpired
	}
	return v, nil
}

// stands asks everybody who may know that a token is not good any more, and returns its identity as it is now.
func (i *Issuer) stands(ctx context.Context, c *claims) (access.Identity, error) {
	id := c.identity()
	if id.Anonymous() {
		return id, nil
	}
	switch covered, err := i.cfg.Revoked.Covers(ctx, c.Subject, time.Unix(c.Issued, 0)); {
	case err != nil:
		return id, fmt.Errorf("issue: check a token: %w", err)
	case covered:
		return id, authn.ErrWrong
	}
	if c.Key != "" {
		if i.cfg.Keys == nil {
			return id, authn.ErrWrong
		}
		if err := i.cfg.Keys.Alive(ctx, c.Subject, c.Key); err != nil {
			return id, fmt.Errorf("issue: check a token: %w", err)
		}
	}
	if i.cfg.Standing == nil {
		return id, nil
	}
	now, err := i.cfg.Standing.Stands(ctx, id, c.Print)
	if err != nil {
		return id, fmt.Errorf("issue: check a token: %w", err)
	}
	return now, nil
}

// signed verifies the signature of a token, or remembers that it did.
func (i *Issuer) signed(ctx context.Context, token string) (*verified, error) {
	if len(token) > maxTokenBytes {
		return nil, authn.ErrOther
	}
	sum := sha256.Sum256([]byte(token))
	if v, found := i.known.Get(sum); found {
		if p, err := i.keys.find(v.key); p != nil || err != nil { // else the secret that signed it was revoked, or is too old
			return v, err
		}
	}
	h, payload, err := open(token)
	if err != nil {
		return nil, err
	}
	p, err := i.keys.find(h.Key)
	if err != nil {
		return nil, err
	}
	if _, err := claimsOf(payload); err != nil {
		return nil, err
	}
	if p == nil { // signed under a secret that was replaced elsewhere, or by nobody
		if err := i.cfg.Secret.RereadSecret(ctx); err != nil {
			return nil, fmt.Errorf("issue: check a token: %w", err)
		}
		if p, err = i.keys.find(h.Key); err != nil {
			return nil, err
		}
		if p == nil {
			return nil, authn.ErrWrong
		}
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return nil, authn.ErrWrong
	}
	body, err := signed.Verify(p.public)
	if err != nil {
		return nil, authn.ErrWrong
	}
	c, err := claimsOf(body)
	if err != nil {
		return nil, err
	}
	v := &verified{claims: c, key: p.id, limits: scope.Limits(c.Access, false, i.cfg.Now())}
	i.known.Add(sum, v)
	return v, nil
}

// open takes a token apart without believing any of it. Errors: authn.ErrOther for what is no token of ours by its header or its issuer.
func open(token string) (header, []byte, error) {
	var h header
	if !authn.IsCompact(token) {
		return h, nil, authn.ErrOther
	}
	head, rest, _ := strings.Cut(token, ".")
	body, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.Strict().DecodeString(head)
	if err != nil || strict(text, &h) != nil || h.Algorithm != string(jose.EdDSA) || h.Type != tokenType || h.Key == "" {
		return h, nil, authn.ErrOther
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil {
		return h, nil, authn.ErrOther
	}
	var of struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(payload, &of) != nil || of.Issuer != issuer {
		return h, nil, authn.ErrOther
	}
	return h, payload, nil
}

// claimsOf reads claims. Errors: authn.ErrWrong for what we do not write.
func claimsOf(payload []byte) (claims, error) {
	var c claims
	if strict(payload, &c) != nil {
		return c, authn.ErrWrong
	}
	return c, nil
}

// strict reads one JSON value that has no other members than v.
func strict(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return fmt.Errorf("issue: %d bytes after a value", len(text)-int(d.InputOffset()))
	}
	return nil
}
