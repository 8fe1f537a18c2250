package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// openID is a provider that speaks OpenID Connect. What it says of itself is asked for when it is needed, and kept.
type openID struct {
	cfg      Provider
	redirect string
	client   *http.Client

	turn   chan struct{} // holds one token: one asks at a time
	known  *metadata     // nil: never asked with success
	asked  time.Time     // when it was asked last, by this process's monotonic clock
	failed error         // what came of it
}

// metadata is what a provider says of itself (OpenID Connect Discovery 1.0, 3).
type metadata struct {
	provider *oidc.Provider
	oauth    oauth2.Config
	keys     oidc.KeySet
	got      time.Time

	Algorithms []string `json:"id_token_signing_alg_values_supported"`
	Keys       string   `json:"jwks_uri"`
	End        string   `json:"end_session_endpoint"`
	Methods    []string `json:"token_endpoint_auth_methods_supported"`
}

const askAgain = 2 * time.Second // what failed is not tried again sooner

func newOpenID(p Provider, redirect string, client *http.Client) *openID {
	if len(p.Scopes) == 0 {
		p.Scopes = []string{"email", "profile"}
	}
	if !slices.Contains(p.Scopes, oidc.ScopeOpenID) {
		p.Scopes = append([]string{oidc.ScopeOpenID}, p.Scopes...)
	}
	return &openID{cfg: p, redirect: redirect, client: client, turn: make(chan struct{}, 1)}
}

// metadata returns what is known of the provider, which is asked when that is old. When it does not answer what was known before stays good.
func (o *openID) metadata(ctx context.Context) (*metadata, error) {
	select {
	case o.turn <- struct{}{}:
		defer func() { <-o.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("login: wait for what %s says of itself: %w", o.cfg.Issuer, ctx.Err())
	}
	if o.known != nil && time.Since(o.known.got) < metadataTime {
		return o.known, nil
	}
	if o.failed == nil || time.Since(o.asked) >= askAgain {
		m, err := o.discover(ctx)
		if ctx.Err() == nil || err == nil { // a client that leaves says nothing of the provider
			o.asked, o.failed = time.Now(), err
		}
		if err == nil {
			o.known = m
		} else if o.known == nil {
			return nil, err
		}
	}
	if o.known == nil {
		return nil, o.failed
	}
	return o.known, nil
}

func (o *openID) discover(ctx context.Context) (*metadata, error) {
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, o.client), o.cfg.Issuer)
	if err != nil {
		return nil, fmt.Errorf("login: ask %s what it says of itself: %w", o.cfg.Issuer, brief(err))
	}
	m := &metadata{provider: p, got: time.Now()}
	if err := p.Claims(m); err != nil {
		return nil, fmt.Errorf("login: read what %s says of itself: %w", o.cfg.Issuer, err)
	}
	for _, endpoint := range []string{p.Endpoint().AuthURL, p.Endpoint().TokenURL, m.Keys} {
		if _, ok := origin(endpoint); !ok {
			return nil, fmt.Errorf("login: %s says of itself that %q is a URL", o.cfg.Issuer, endpoint)
		}
	}
	m.Algorithms = slices.DeleteFunc(m.Algorithms, func(a string) bool { return !slices.Contains(algorithms(), a) })
	m.keys = oidc.NewRemoteKeySet(oidc.ClientContext(context.WithoutCancel(ctx), o.client), m.Keys)
	m.oauth = oauth2.Config{ClientID: o.cfg.ClientID, ClientSecret: o.cfg.ClientSecret, Endpoint: p.Endpoint(), RedirectURL: o.redirect, Scopes: o.cfg.Scopes}
	m.oauth.Endpoint.AuthStyle = oauth2.AuthStyleInHeader // the usual one, where nothing is said (Discovery, 3)
	if o.cfg.ClientSecret == "" || len(m.Methods) > 0 && !slices.Contains(m.Methods, "client_secret_basic") {
		m.oauth.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return m, nil
}

// algorithms are the signatures that are taken: none without a key, and none with a key that both sides have.
func algorithms() []string {
	return []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}
}

// brief cuts an error that has a server's whole answer in it.
func brief(err error) error {
	const most = 200
	if text := err.Error(); len(text) > most {
		return errors.New(strings.ToValidUTF8(text[:most], "") + "…")
	}
	return err
}

func (o *openID) authURL(ctx context.Context, w way) (string, error) {
	m, err := o.metadata(ctx)
	if err != nil {
		return "", err
	}
	return m.oauth.AuthCodeURL(w.State, oidc.Nonce(w.Nonce), oauth2.S256ChallengeOption(w.Verifier)), nil
}

func (o *openID) checkIssuer(issuer string) bool { return issuer == "" || issuer == o.cfg.Issuer }

func (o *openID) identify(ctx context.Context, w way, code string) (person, error) {
	m, err := o.metadata(ctx)
	if err != nil {
		return person{}, err
	}
	ctx = oidc.ClientContext(ctx, o.client)
	token, err := exchange(ctx, &m.oauth, w, code)
	if err != nil {
		return person{}, err
	}
	id, err := m.verify(ctx, o.cfg, token, w.Nonce)
	if err != nil {
		return person{}, err
	}
	var inToken, inInfo map[string]any
	if err := id.Claims(&inToken); err != nil {
		return person{}, refused("the identity token: %w", err)
	}
	if m.provider.UserInfoEndpoint() != "" {
		info, err := m.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
		if err != nil {
			return person{}, fmt.Errorf("login: ask %s for the user: %w", o.cfg.Issuer, brief(err))
		}
		if info.Subject != id.Subject { // OpenID Connect Core 1.0, 5.3.2
			return person{}, refused("the provider tells of another user than the token is for")
		}
		if err := info.Claims(&inInfo); err != nil {
			return person{}, fmt.Errorf("login: read what %s says of the user: %w", o.cfg.Issuer, err)
		}
	}
	return personOf(o.cfg, inInfo, inToken)
}

// exchange gives a code for a token.
func exchange(ctx context.Context, c *oauth2.Config, w way, code string) (*oauth2.Token, error) {
	if code == "" {
		return nil, refused("there is no code")
	}
	token, err := c.Exchange(ctx, code, oauth2.VerifierOption(w.Verifier))
	var answer *oauth2.RetrieveError
	switch {
	case errors.As(err, &answer) && (answer.ErrorCode == "invalid_grant" || answer.ErrorCode == "bad_verification_code"): // the latter is GitHub's
		return nil, refused("the code is not good: %s", answer.ErrorCode)
	case errors.As(err, &answer): // the rest of it may be anything
		return nil, fmt.Errorf("login: give a code for a token: the provider answers %d, %.60q", answer.Response.StatusCode, answer.ErrorCode)
	case err != nil:
		return nil, fmt.Errorf("login: give a code for a token: %w", err)
	}
	return token, nil
}

// keySet remembers why a signature could not be verified: the library's own error does not tell.
type keySet struct {
	oidc.KeySet
	err error
}

// VerifySignature implements oidc.KeySet.
func (k *keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, jwt)
	k.err = err
	return payload, err
}

// verify verifies the identity token that came with a token: its signature, issuer, audience, life, nonce, and that it belongs to the token.
func (m *metadata) verify(ctx context.Context, p Provider, token *oauth2.Token, nonce string) (*oidc.IDToken, error) {
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return nil, refused("the provider gave no identity token")
	}
	keys := &keySet{KeySet: m.keys}
	id, err := oidc.NewVerifier(p.Issuer, keys, &oidc.Config{ClientID: p.ClientID, SupportedSigningAlgs: m.Algorithms}).Verify(ctx, raw)
	switch {
	case err != nil && keys.err != nil && strings.HasPrefix(keys.err.Error(), "fetching keys"):
		return nil, fmt.Errorf("login: ask %s for its keys: %w", p.Issuer, brief(keys.err))
	case err != nil:
		return nil, refused("the identity token: %w", err)
	case id.Nonce != nonce:
		return nil, refused("the identity token belongs to another login")
	}
	if id.AccessTokenHash != "" {
		if err := id.VerifyAccessToken(token.AccessToken); err != nil {
			return nil, refused("the identity token: %w", err)
		}
	}
	return id, nil
}

// endURL is for RP-Initiated Logout 1.0, with client_id and without a hint, as in zot: the provider asks the user.
func (o *openID) endURL(ctx context.Context, back string) (string, error) {
	m, err := o.metadata(ctx)
	if err != nil || m.End == "" {
		return "", err
	}
	if _, ok := origin(m.End); !ok {
		return "", fmt.Errorf("login: %s says of itself that %q is a URL", o.cfg.Issuer, m.End)
	}
	u, err := url.Parse(m.End)
	if err != nil {
		return "", fmt.Errorf("login: read what %s says of itself: %w", o.cfg.Issuer, err)
	}
	query := u.Query()
	query.Set("client_id", o.cfg.ClientID)
	query.Set("post_logout_redirect_uri", back)
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// newClient is what asks providers: it follows no redirect, waits for no longer than providerTime, and reads no more than maxAnswer.
func newClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = http.DefaultTransport
	}
	return &http.Client{Transport: bounded{transport}, Timeout: providerTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

const maxAnswer = 1 << 20

// bounded cuts what servers answer.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}
