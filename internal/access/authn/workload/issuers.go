package workload

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	lru "github.com/hashicorp/golang-lru/v2"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
)

const (
	maxTokenBytes = 16 << 10
	remembered    = 4096
	knownFor      = time.Minute // how long a token that was verified is not verified again: its issuer may drop its key
	leeway        = time.Minute
)

// Revoked knows what was revoked of a user, see package revoke.
type Revoked interface {
	Covers(ctx context.Context, user string, given time.Time) (bool, error)
}

// Issuer is a server that signs identity tokens.
type Issuer struct {
	URL       string
	Audiences []string // a token is for one of them
	// CA is PEM, CAFile a path: whom the server is verified by; neither: the system's authorities.
	CA, CAFile string
	// SkipIssuer takes what the server's keys have signed whatever issuer it names: for tests.
	SkipIssuer bool
	Mapping    Mapping
}

// Config is what Issuers are made of.
type Config struct {
	Issuers []Issuer
	Compile Compile
	// Now is the store's clock.
	Now     func() time.Time
	Revoked Revoked // nil: nothing is
	Log     *slog.Logger
}

// Issuers verifies their tokens. Safe for concurrent use; there is nothing to close. It asks no server before the first token comes.
type Issuers struct {
	cfg   Config
	all   []*one
	known *lru.Cache[[32]byte, known]
}

var _ authn.Bearers = (*Issuers)(nil)

// one is an issuer.
type one struct {
	Issuer
	keys    *keySet
	mapping *mapping
}

// known is a token that was verified.
type known struct {
	id      access.Identity
	issued  time.Time
	expires time.Time // by the store's clock, leeway included
	at      time.Time // when it was verified, by this process's monotonic clock
}

// New compiles the mappings and reads the files of authorities. Errors: all that is wrong, at once.
func New(cfg Config) (*Issuers, error) {
	if cfg.Compile == nil || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("workload: the configuration is not complete")
	}
	memory, err := lru.New[[32]byte, known](remembered)
	if err != nil {
		return nil, fmt.Errorf("workload: make a memory of tokens: %w", err)
	}
	out := &Issuers{cfg: cfg, known: memory}
	var errs []error
	for i, issuer := range cfg.Issuers {
		o, err := newOne(issuer, cfg.Compile)
		if err != nil {
			errs = append(errs, fmt.Errorf("workload: issuer %d: %w", i+1, err))
			continue
		}
		out.all = append(out.all, o)
	}
	return out, errors.Join(errs...)
}

func newOne(issuer Issuer, compile Compile) (*one, error) {
	if issuer.URL == "" || len(issuer.Audiences) == 0 || slices.Contains(issuer.Audiences, "") {
		return nil, errors.New("it has no URL, or no audience")
	}
	m, err := issuer.Mapping.compile(compile)
	if err != nil {
		return nil, err
	}
	authorities := []byte(issuer.CA)
	if issuer.CAFile != "" {
		if authorities, err = os.ReadFile(issuer.CAFile); err != nil {
			return nil, fmt.Errorf("read its authorities: %w", err)
		}
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, IdleConnTimeout: time.Minute}
	if len(authorities) > 0 {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(authorities) {
			return nil, errors.New("its authorities are no certificates in PEM")
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	client := &http.Client{Transport: bounded{transport}, Timeout: askTime}
	return &one{Issuer: issuer, keys: &keySet{issuer: issuer.URL, client: client}, mapping: m}, nil
}

// Verify returns whose token it is, with its claims, which conditions of rules may ask for.
// Errors: authn.ErrOther for what is not of one of the issuers; authn.ErrExpired; authn.ErrWrong for a token of theirs that is for somebody else, or whose claims the mapping
// does not take; anything else is an issuer that could not be asked for a key that is not known, or the store.
func (s *Issuers) Verify(ctx context.Context, token string) (access.Identity, error) {
	var none access.Identity
	if len(token) > maxTokenBytes {
		return none, authn.ErrOther
	}
	sum := sha256.Sum256([]byte(token))
	k, found := s.known.Get(sum)
	if !found || time.Since(k.at) > knownFor {
		if !authn.IsCompact(token) {
			return none, authn.ErrOther
		}
		var err error
		if k, err = s.look(ctx, token); err != nil {
			return none, err
		}
		s.known.Add(sum, k)
	}
	if !s.cfg.Now().Before(k.expires) {
		return none, authn.ErrExpired
	}
	if s.cfg.Revoked != nil {
		switch covered, err := s.cfg.Revoked.Covers(ctx, k.id.Name, k.issued); {
		case err != nil:
			return none, fmt.Errorf("workload: check a token: %w", err)
		case covered:
			return none, authn.ErrWrong
		}
	}
	return k.id, nil
}

// look asks the issuers that a token may be of, in their order. When one could not be asked and no other takes it, it is not known.
func (s *Issuers) look(ctx context.Context, token string) (known, error) {
	signed, err := jose.ParseSignedCompact(token, algs())
	issuer, plain := peek(token)
	if err != nil || len(signed.Signatures) != 1 || !plain {
		return known{}, authn.ErrOther
	}
	answer := authn.ErrOther
	var ended *oidc.TokenExpiredError
	for _, o := range s.all {
		if o.URL != issuer && !o.SkipIssuer {
			continue
		}
		k, err := s.by(ctx, o, token, signed)
		switch {
		case err == nil:
			return k, nil
		case errors.Is(err, errSignature) && o.SkipIssuer:
			continue
		case errors.Is(err, errUnreachable), ctx.Err() != nil:
			answer = err
		case errors.As(err, &ended):
			answer = authn.ErrExpired
		case errors.Is(answer, authn.ErrOther):
			s.cfg.Log.DebugContext(ctx, "an identity token was not taken", "issuer", o.URL, "err", err)
			answer = authn.ErrWrong
		}
	}
	return known{}, answer
}

// peek reads, without believing it, whose a token is, and whether its header asks for nothing that we would have to understand.
func peek(token string) (issuer string, plain bool) {
	head, rest, _ := strings.Cut(token, ".")
	body, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(head)
	var h map[string]json.RawMessage
	if err != nil || json.Unmarshal(text, &h) != nil || h["crit"] != nil || h["b64"] != nil {
		return "", false
	}
	text, err = base64.RawURLEncoding.DecodeString(body)
	var c struct {
		Issuer string `json:"iss"`
	}
	if err != nil || json.Unmarshal(text, &c) != nil {
		return "", false
	}
	return c.Issuer, true
}

// said is a key set that has verified a token already, and gives what it says.
type said []byte

// VerifySignature implements oidc.KeySet.
func (s said) VerifySignature(context.Context, string) ([]byte, error) { return s, nil }

// by verifies a token of an issuer.
func (s *Issuers) by(ctx context.Context, o *one, token string, signed *jose.JSONWebSignature) (known, error) {
	payload, err := o.keys.verify(ctx, signed)
	if err != nil {
		return known{}, err
	}
	now := s.cfg.Now()
	var names []string
	for _, a := range algs() {
		names = append(names, string(a))
	}
	verifier := oidc.NewVerifier(o.URL, said(payload), &oidc.Config{
		SkipClientIDCheck: true, // there may be several
		SkipIssuerCheck:   o.SkipIssuer, SupportedSigningAlgs: names,
		Now: func() time.Time { return now.Add(-leeway) },
	})
	t, err := verifier.Verify(ctx, token)
	if err != nil {
		return known{}, fmt.Errorf("workload: check a token: %w", err)
	}
	if !slices.ContainsFunc(t.Audience, func(a string) bool { return slices.Contains(o.Audiences, a) }) {
		return known{}, errors.New("workload: the token is for another audience")
	}
	if now.Add(leeway).Before(t.IssuedAt) {
		return known{}, errors.New("workload: the token is of the future")
	}
	var claims map[string]any
	if err := t.Claims(&claims); err != nil {
		return known{}, fmt.Errorf("workload: read the claims of a token: %w", err)
	}
	name, groups, err := o.mapping.apply(claims)
	if err != nil {
		return known{}, err
	}
	id := access.Identity{Name: name, Groups: groups, Way: access.Workload, Claims: claims}
	return known{id: id, issued: t.IssuedAt, expires: t.Expiry.Add(leeway), at: time.Now()}, nil
}
