package issue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
	"holdfast/internal/oci"
)

// The lifetimes. An access token is for the requests of one push or pull; clients get another when it ends. A refresh token stands in for the password in a
// client's file of credentials: it ends when somebody has not logged in for a month. It is of no use any more a day after the cluster's secret was rotated.
const (
	AccessTTL  = 5 * time.Minute
	RefreshTTL = 30 * 24 * time.Hour
)

// leeway is how much the clocks of two replicas may differ.
const leeway = time.Minute

// maxTokenBytes is how long a token may be: what proxies take in a header.
const maxTokenBytes = 8 << 10

// rememberedTokens is of how many tokens it is remembered that their signature is good.
const rememberedTokens = 8192

// domain is what the cluster's secret is used for here.
const domain = "access token"

// Secret is the cluster's secret, see registry.Local: Keys are of 32 bytes, the one to sign with first.
type Secret interface {
	Keys(domain string) [][]byte
	RereadSecret(ctx context.Context) error
}

// Revoked knows what was revoked of a user, see package revoke.
type Revoked interface {
	Covers(ctx context.Context, user string, given time.Time) (bool, error)
}

// APIKeys knows which API keys are good, see package apikey: an error is authn.ErrWrong, or that of a store that could not be asked.
type APIKeys interface {
	Alive(ctx context.Context, user, id string) error
}

// Config is what an Issuer is made of. Fields may be nil where it is said.
type Config struct {
	// Service is what the registry is called in challenges and tokens.
	Service string
	Secret  Secret
	// Now is the store's clock.
	Now     func() time.Time
	Revoked Revoked
	// Check is asked for names and passwords, see authn.Handler.CheckPassword; r is what is known of who asks. nil: there are only anonymous tokens.
	Check func(ctx context.Context, r *access.Request, name, password string) (access.Identity, error)
	// FailDelay is how long it takes to be told that credentials are not good.
	FailDelay time.Duration
	// Exchange are asked for a password that looks like a JWT: who shows one that is good has it back as its token. They see no token of ours.
	Exchange []authn.Bearers
	// Standing is asked at each use of a token. nil: tokens live until they end, and there are no refresh tokens.
	Standing authn.Standing
	// Keys is asked for tokens that were given for an API key. nil: none are given.
	Keys APIKeys
	// Allowed is what the rules say of who asks for a token. Its request has the method that the action will have.
	Allowed func(*access.Request, oci.Repository, access.Action) bool
	// Describe is what is known of a request but for its identity; nil: method and user agent.
	Describe func(*http.Request) access.Request
	// Given is told of each token that is given to somebody: for the audit log. nil: nobody is.
	Given func(r *http.Request, id access.Identity, scope string, refresh bool)
	Log   *slog.Logger
}

// Issuer gives tokens, as an http.Handler, and checks them, as an authn.Bearers. Safe for concurrent use; there is nothing to close.
type Issuer struct {
	cfg   Config
	keys  *keys
	known *lru.Cache[[32]byte, *verified]
}

var _ authn.Bearers = (*Issuer)(nil)

// New returns an issuer.
func New(cfg Config) (*Issuer, error) {
	if cfg.Service == "" || cfg.Secret == nil || cfg.Now == nil || cfg.Revoked == nil || cfg.Allowed == nil || cfg.Log == nil {
		return nil, errors.New("issue: the configuration of the token endpoint is not complete")
	}
	if cfg.Describe == nil {
		cfg.Describe = func(r *http.Request) access.Request {
			return access.Request{Time: cfg.Now(), Method: r.Method, UserAgent: r.UserAgent(), Secure: r.TLS != nil}
		}
	}
	known, err := lru.New[[32]byte, *verified](rememberedTokens)
	if err != nil {
		return nil, fmt.Errorf("issue: make a memory of tokens: %w", err)
	}
	return &Issuer{cfg: cfg, keys: newKeys(cfg.Secret), known: known}, nil
}
