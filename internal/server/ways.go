package server

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
	"holdfast/internal/access/authn/apikey"
	"holdfast/internal/access/authn/htpasswd"
	"holdfast/internal/access/authn/issue"
	"holdfast/internal/access/authn/jwt"
	"holdfast/internal/access/authn/ldap"
	"holdfast/internal/access/authn/login"
	"holdfast/internal/access/authn/mtls"
	"holdfast/internal/access/authn/revoke"
	"holdfast/internal/access/authn/workload"
	"holdfast/internal/access/policy"
	"holdfast/internal/audit"
	"holdfast/internal/config"
	"holdfast/internal/oci"
)

// The paths of our own token endpoint: ours, and zot's.
const (
	tokenPath    = "/auth/token"      //nolint:gosec // G101: a path
	zotTokenPath = "/zot/auth/token"  //nolint:gosec // G101: a path
	apiKeyPath   = "/zot/auth/apikey" //nolint:gosec // G101: a path
)

// service is what tokens call this registry, where the configuration does not say.
const service = "holdfast"

// builder builds a door, one way of authentication after the other.
type builder struct {
	s    *Server
	cfg  Config
	root *store // nil before the stores are open
	d    *door

	authn     authn.Config
	challenge func(r *http.Request, why string) string
	exchange  []authn.Bearers
	standings authn.Standings
	apikeys   *apikey.Keys
}

// realm is what clients show when they ask for a password.
func (b *builder) realm() string { return cmp.Or(b.cfg.Auth.Realm, "Authorization Required") }

// now is the store's clock.
func (b *builder) now() time.Time {
	if b.root == nil {
		return time.Now() // nothing is served yet
	}
	return b.root.records.Now()
}

// configured are the ways by which somebody may have been found who shows a key or a token now.
func (b *builder) configured() authn.Configured {
	ways := authn.Configured{access.APIKey} // a token that was given for a key: the key's maker is asked for
	for way, given := range map[access.Way]bool{
		access.Htpasswd: b.cfg.Auth.Htpasswd != "", access.LDAP: b.cfg.Auth.LDAP != nil, access.Login: b.cfg.Auth.OpenID != nil, access.Certificate: b.cfg.Edge.TLS.CA != "",
	} {
		if given {
			ways = append(ways, way)
		}
	}
	return ways
}

func (b *builder) revoked() *revoke.List {
	if b.root == nil {
		return nil
	}
	if b.s.revoked == nil {
		b.s.revoked = revoke.New(b.root.format())
	}
	return b.s.revoked
}

func (b *builder) htpasswd() error {
	if b.cfg.Auth.Htpasswd == "" {
		return nil
	}
	way, err := htpasswd.Open(b.cfg.Auth.Htpasswd, b.s.log)
	if err != nil {
		return err
	}
	b.authn.Passwords = append(b.authn.Passwords, way)
	b.standings = append(b.standings, authn.FileStanding{File: way})
	b.d.follow = append(b.d.follow, func(ctx context.Context) { way.Watch(ctx, func(good bool) { b.s.badFile.Store(!good) }) })
	return nil
}

func (b *builder) ldap() error {
	c := b.cfg.Auth.LDAP
	if c == nil {
		return nil
	}
	security := ldap.TLS
	switch {
	case c.Insecure && c.StartTLS: // as zot reads it
		security = ldap.StartTLS
	case c.Insecure:
		security = ldap.Plain
	}
	d, err := ldap.New(ldap.Config{
		Host: c.Address, Port: c.Port, Security: security, SkipVerify: c.SkipVerify, CACert: c.CACert, BindDN: c.BindDN, BindPassword: string(c.BindPassword),
		BaseDN: c.BaseDN, Subtree: c.SubtreeSearch, UserAttribute: c.UserAttribute, UserFilter: c.UserFilter, GroupAttribute: c.UserGroupAttribute,
	})
	if err != nil {
		return err
	}
	b.authn.Passwords = append(b.authn.Passwords, d)
	b.d.ends = append(b.d.ends, d.Close)
	return nil
}

// certificates takes clients' certificates for who they name wherever clients are asked for them, as zot does.
func (b *builder) certificates() error {
	if b.cfg.Edge.TLS.CA == "" {
		return nil
	}
	m := b.cfg.Auth.MTLS
	index := func(n *int) int {
		if n == nil {
			return 0
		}
		return *n
	}
	holders, err := mtls.New(mtls.Config{
		Attributes: m.IdentityAttributes, URIPattern: m.URISANPattern,
		URIIndex: index(m.URISANIndex), DNSIndex: index(m.DNSSANIndex), EmailIndex: index(m.EmailSANIndex),
	})
	if err != nil {
		return err
	}
	origins, err := b.origins()
	if err != nil {
		return err
	}
	b.authn.Certificates, b.authn.Foreign = holders, func(r *http.Request) bool { return origins.Check(r) != nil }
	return nil
}

// origins knows whether a page of another origin asks for a change that is neither ours nor one of those that may. "*" is none: such pages ask without what a browser shows by itself.
func (b *builder) origins() (*http.CrossOriginProtection, error) {
	origins := http.NewCrossOriginProtection()
	for _, origin := range b.cfg.Edge.AllowOrigin {
		if err := origins.AddTrustedOrigin(origin); err != nil && origin != "*" {
			return nil, err
		}
	}
	return origins, nil
}

// bearer takes tokens of an external token server.
func (b *builder) bearer() error {
	c := b.cfg.Auth.Bearer
	if c == nil || c.Cert == "" {
		return nil
	}
	cfg := jwt.Config{File: c.Cert, Service: c.Service, Now: b.now, Log: b.s.log}
	if list := b.revoked(); list != nil {
		cfg.Revoked = list
	}
	way, err := jwt.New(cfg)
	if err != nil {
		return err
	}
	b.authn.Bearers = append(b.authn.Bearers, way)
	b.d.follow = append(b.d.follow, way.Run)
	b.challenge = bearerChallenge(func(*http.Request) string { return c.Realm }, c.Service)
	return nil
}

// workloads takes identity tokens.
func (b *builder) workloads() error {
	c := b.cfg.Auth.Bearer
	if c == nil || len(c.OIDC) == 0 {
		return nil
	}
	cfg := workload.Config{Compile: workload.CEL, Now: b.now, Log: b.s.log}
	if list := b.revoked(); list != nil {
		cfg.Revoked = list
	}
	for _, o := range c.OIDC {
		m := workload.Mapping{Username: o.Mapping.Username, Groups: o.Mapping.Groups}
		for _, v := range o.Mapping.Variables {
			m.Variables = append(m.Variables, workload.Variable{Name: v.Name, Expression: v.Expression})
		}
		for _, v := range o.Mapping.Validations {
			m.Validations = append(m.Validations, workload.Validation{Expression: v.Expression, Message: v.Message})
		}
		cfg.Issuers = append(cfg.Issuers, workload.Issuer{
			URL: o.Issuer, Audiences: o.Audiences, CA: o.CertificateAuthority, CAFile: o.CertificateAuthorityFile, SkipIssuer: o.SkipIssuerVerification, Mapping: m,
		})
	}
	way, err := workload.New(cfg)
	if err != nil {
		return err
	}
	b.exchange = append(b.exchange, way)
	b.authn.Bearers = append(b.authn.Bearers, way)
	return nil
}

// apiKeys takes, gives and ends API keys.
func (b *builder) apiKeys() (err error) {
	if !b.cfg.Auth.APIKey && b.cfg.Auth.OpenID == nil || b.root == nil {
		return nil
	}
	b.apikeys, err = apikey.New(apikey.Config{Store: b.root.format(), Revoked: b.revoked(), Standing: b.standings, Log: b.s.log})
	if err != nil {
		return err
	}
	b.authn.Keys, b.authn.IsKey, b.authn.KnownKey = b.apikeys, apikey.Is, b.apikeys.Seen
	b.authn.Bearers = append(b.authn.Bearers, b.apikeys)
	b.d.ends = append(b.d.ends, b.apikeys.Close)
	origins, err := b.origins()
	if err != nil {
		return err
	}
	b.d.endpoints = append(b.d.endpoints, endpoint{path: apiKeyPath, serve: &apikey.Server{
		Keys: b.apikeys, Realm: b.realm(), Origins: origins,
		Changed: func(r *http.Request, _ access.Identity, key string, made bool) {
			what := "api key made"
			if !made {
				what = "api key revoked"
			}
			audit.Tell(r.Context(), audit.Event{What: what, Outcome: audit.Done, Target: key})
		},
	}})
	return nil
}

// logins lets people log in with a browser.
func (b *builder) logins() error {
	c := b.cfg.Auth.OpenID
	if c == nil || b.root == nil {
		return nil
	}
	secure := b.cfg.Edge.TLS.Cert != "" || strings.HasPrefix(b.cfg.Edge.ExternalURL, "https:")
	if c := b.cfg.Auth.SecureSession; c != nil {
		secure = *c
	}
	list := b.revoked()
	cfg := login.Config{
		Providers: map[string]login.Provider{}, BaseURL: b.cfg.Edge.ExternalURL, AllowOrigins: c.CallbackAllowOrigins, Secure: secure,
		Store: b.root.format(), Secrets: b.root.registry, Log: b.s.log, Revoked: list.Covers,
		Began: func(r *http.Request, who access.Identity, provider string) {
			audit.Tell(r.Context(), audit.Event{What: "login", Outcome: audit.Done, Target: provider, User: who.Name, Way: who.Way})
		},
	}
	if cfg.BaseURL == "" { // as zot: where it listens
		scheme := "http"
		if b.cfg.Edge.TLS.Cert != "" {
			scheme = "https"
		}
		cfg.BaseURL = scheme + "://" + b.cfg.Address
	}
	for name, p := range c.Providers {
		cfg.Providers[name] = provider(name, p)
	}
	logins, err := login.New(cfg)
	if err != nil {
		return err
	}
	b.authn.Sessions = logins
	b.d.endpoints = append(b.d.endpoints, loginEnds(logins)...)
	return nil
}

func provider(name string, p *config.Provider) login.Provider {
	return login.Provider{
		GitHub: name == "github", ClientID: p.ClientID, ClientSecret: string(p.ClientSecret), Issuer: p.Issuer, AuthURL: p.AuthURL, TokenURL: p.TokenURL,
		Scopes: p.Scopes, Username: p.Username, Groups: p.Groups,
	}
}

// tokens gives tokens of our own, where the configuration asks for it, and where nobody may do something and others more: that is how clients cope with both.
func (b *builder) tokens() error {
	auth := b.cfg.Auth
	mixed := b.d.rules.Mixed() && (auth.Bearer == nil || auth.Bearer.Cert == "")
	if !auth.Token.Enabled && !mixed || b.root == nil {
		return nil
	}
	name := cmp.Or(auth.Token.Service, service)
	cfg := issue.Config{
		Service: name, Secret: b.root.registry, Now: b.now, Revoked: b.revoked(), FailDelay: auth.FailDelay, Exchange: b.exchange, Log: b.s.log,
		Standing: b.standings,
		Check: func(ctx context.Context, r *access.Request, name, password string) (access.Identity, error) {
			id, err := b.d.authn.CheckPassword(ctx, r, name, password)
			who := *r
			who.Identity = id
			b.s.seen(ctx, &who, name, err) // as the door does, which nobody passes on the way to the endpoint
			return id, err
		},
		Allowed: func(r *access.Request, repo oci.Repository, a access.Action) bool {
			return b.s.rules().Decide(r, policy.Ask{Action: a, Repository: repo}).Allowed
		},
		Describe: func(r *http.Request) access.Request { return *b.d.authn.Request(r) },
		Given: func(r *http.Request, id access.Identity, scope string, refresh bool) {
			what := "token issued"
			if refresh {
				what = "token and refresh token issued"
			}
			audit.Tell(r.Context(), audit.Event{What: what, Outcome: audit.Done, Target: scope, User: id.Name, Way: id.Way})
		},
	}
	if b.apikeys != nil {
		cfg.Keys = b.apikeys
	}
	issuer, err := issue.New(cfg)
	if err != nil {
		return err
	}
	b.authn.Bearers = append([]authn.Bearers{issuer}, b.authn.Bearers...)
	for _, path := range []string{tokenPath, zotTokenPath} {
		b.d.endpoints = append(b.d.endpoints, endpoint{path: path, serve: issuer, before: true})
	}
	b.challenge = bearerChallenge(func(r *http.Request) string { return b.s.reached(r) + tokenPath }, name)
	return nil
}
