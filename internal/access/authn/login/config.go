package login

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"holdfast/internal/access"
	"holdfast/internal/format"
)

// Config is what logins are made with. It is not changed after New.
type Config struct {
	// Providers are those that people may choose, by the name that is in the URL.
	Providers map[string]Provider
	// BaseURL is how browsers reach the registry: scheme://host[:port]. It is the same at every replica, and the providers know it.
	BaseURL string
	// AllowOrigins are origins that a login may lead to besides BaseURL.
	AllowOrigins []string
	// Secure says that browsers send the cookies over HTTPS only.
	Secure bool

	Store   format.Store
	Secrets Secrets
	Log     *slog.Logger
	// Transport is how providers are asked; nil: as http.DefaultTransport does it.
	Transport http.RoundTripper
	// Revoked reports whether what somebody was given at a time counts no more; nil: it does until it ends.
	Revoked func(ctx context.Context, name string, since time.Time) (bool, error)
	// Began is told who has logged in, by which provider: for the audit log. nil: nobody is.
	Began func(r *http.Request, who access.Identity, provider string)
}

// Provider is one that knows who people are.
type Provider struct {
	// GitHub says that it is GitHub, which speaks OAuth and an API of its own. All others speak OpenID.
	GitHub                 bool
	ClientID, ClientSecret string // no secret: a public client
	// Issuer is the URL of the provider, as it calls itself; of GitHub the URL of its API, where that is not the public one.
	Issuer string
	// AuthURL and TokenURL are GitHub's, where they are not the public ones.
	AuthURL, TokenURL string
	Scopes            []string // none: what a name and an address need
	// Username and Groups are claims; empty: "email" and "groups". Of GitHub a field of a user as its API has it, as "login"; groups are organisations and
	// teams, whatever Groups says.
	Username, Groups string
}

// Secrets is the secret that all replicas have in common. registry.Local is one.
type Secrets interface {
	// Keys are keys for a purpose of ours, of each secret that is still good, the one in use first. They are the same at every replica that knows it.
	Keys(domain string) [][]byte
	// MAC is the same at every replica for the same fields.
	MAC(domain string, fields ...[]byte) []byte
	// Verify reports whether a MAC, or its first 16 bytes at least, was made at any replica; it may ask the store.
	Verify(ctx context.Context, mac []byte, domain string, fields ...[]byte) (bool, error)
}

const (
	lifetime     = 2 * time.Hour    // of a session, as in zot
	loginTime    = 10 * time.Minute // from the choice of a provider to the way back from it
	providerTime = 10 * time.Second // for all that a provider is asked in one request
	sessionCache = 2 * time.Second  // how late a replica learns of a logout at another
	metadataTime = time.Hour        // how old what a provider says of itself may be
)

var errRefused = errors.New("login: refused")

// refused is a login that is not good, by its own fault or by what the provider says; all other errors are a backend that could not be asked.
func refused(text string, args ...any) error {
	return fmt.Errorf("%w: "+text, append([]any{errRefused}, args...)...)
}

// origin is scheme://host[:port] of a URL, in small letters and without the usual port; false for what is no absolute http or https URL.
func origin(text string) (string, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Opaque != "" {
		return "", false
	}
	host := strings.ToLower(u.Host)
	host = strings.TrimSuffix(host, map[string]string{"http": ":80", "https": ":443"}[u.Scheme])
	return u.Scheme + "://" + strings.TrimSuffix(host, ":"), true
}

func (c Config) check() error {
	var errs []error
	if own, ok := origin(c.BaseURL); !ok || strings.HasSuffix(c.BaseURL, "/") && own != "" {
		errs = append(errs, fmt.Errorf("login: the registry's own URL %q is not scheme://host", c.BaseURL))
	}
	for name, p := range c.Providers {
		if p.ClientID == "" {
			errs = append(errs, fmt.Errorf("login: the provider %s has no client id", name))
		}
		for _, text := range []string{p.Issuer, p.AuthURL, p.TokenURL} {
			if _, ok := origin(text); !ok && (text != "" || text == p.Issuer && !p.GitHub) {
				errs = append(errs, fmt.Errorf("login: the provider %s has %q for a URL", name, text))
				break
			}
		}
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			errs = append(errs, fmt.Errorf("login: %q is no name for a provider", name))
		}
	}
	return errors.Join(errs...)
}
