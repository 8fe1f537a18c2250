package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
	"holdfast/internal/access/authn/login"
	"holdfast/internal/access/policy"
	"holdfast/internal/api"
	"holdfast/internal/audit"
	"holdfast/internal/edge"
	"holdfast/internal/observe/metrics"
	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// door is what requests pass before they are served, as one configuration has it.
type door struct {
	authn     *authn.Handler
	rules     *policy.Policy
	closed    bool // something must be shown at GET /v2/, so that clients learn how
	challenge func(r *http.Request, why string) string
	endpoints []endpoint
	follow    []func(context.Context) // files that it follows while it is used
	ends      []func()

	end func() // stops all that
}

// endpoint is one of those beside the registry's.
type endpoint struct {
	path   string // one that ends with a slash is for all below it
	serve  http.Handler
	before bool // nobody is asked who it is: the endpoint asks itself
}

// openDoor has requests pass the door of a configuration. Those that have passed the one before go on. Errors: as newDoor; then nothing has changed.
func (s *Server) openDoor(ctx context.Context, cfg Config, root *store) error {
	d, err := s.newDoor(cfg, root)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var following sync.WaitGroup
	for _, follow := range d.follow {
		following.Go(func() { follow(ctx) })
	}
	d.end = func() {
		cancel()
		following.Wait()
		for _, end := range d.ends {
			end()
		}
	}
	if old := s.door.Swap(d); old != nil {
		old.end()
		s.badFile.Store(false) // of the one before; that of this one was good a moment ago
	}
	return nil
}

// enter lets a request in, or answers it.
func (s *Server) enter(w http.ResponseWriter, r *http.Request) {
	d := s.door.Load()
	if s.api.Load() == nil && !s.forMetrics(r) {
		closeAfterBody(w, r)
		api.WriteUnavailable(w, r)
		return
	}
	for _, e := range d.endpoints {
		if e.before && e.matches(r.URL.Path) {
			closeAfterBody(w, r)
			e.serve.ServeHTTP(w, r)
			return
		}
	}
	d.authn.ServeHTTP(w, r)
}

func (e endpoint) matches(path string) bool {
	return path == e.path || strings.HasSuffix(e.path, "/") && strings.HasPrefix(path, e.path)
}

func (s *Server) forMetrics(r *http.Request) bool {
	return s.cfg.MetricsPath != "" && r.URL.Path == s.cfg.MetricsPath
}

// admitted serves a request of which it is known who makes it.
func (s *Server) admitted(w http.ResponseWriter, r *http.Request) {
	d, req := s.door.Load(), access.From(r.Context())
	if s.forMetrics(r) {
		s.serveMetrics(w, r, req)
		return
	}
	for _, e := range d.endpoints {
		if !e.before && e.matches(r.URL.Path) {
			closeAfterBody(w, r)
			e.serve.ServeHTTP(w, r)
			return
		}
	}
	if d.closed && req.Identity.Way == access.Nobody && api.RouteOf(r).Name == "base" {
		s.refuse(w, r)
		return
	}
	s.api.Load().ServeHTTP(w, r.WithContext(registry.WithCaller(r.Context(), req.Identity.Name)))
}

// refuse asks for credentials.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request) {
	closeAfterBody(w, r)
	w.Header().Set("WWW-Authenticate", s.challenge(r))
	api.WriteError(w, r, http.StatusUnauthorized, oci.Errorf(oci.Unauthorized, "this needs credentials"))
}

// serveMetrics tells the metrics to whoever may know them.
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request, req *access.Request) {
	closeAfterBody(w, r)
	switch {
	case s.rules().Metrics(req):
		s.scrape.ServeHTTP(w, r)
	case req.Identity.Anonymous():
		s.refuse(w, r)
	default:
		api.WriteError(w, r, http.StatusForbidden, oci.Errorf(oci.Denied, "you may not read the metrics"))
	}
}

// rules are those in force.
func (s *Server) rules() *policy.Policy { return s.door.Load().rules }

// challenge says how a client that was refused can say who it is. One that showed a token which does not reach so far is told to get another.
func (s *Server) challenge(r *http.Request) string {
	why := ""
	if req := access.From(r.Context()); req != nil && req.Identity.Limits != nil {
		why = "insufficient_scope"
	}
	return s.door.Load().challenge(r, why)
}

// clientOf says where a request comes from.
func clientOf(r *http.Request) authn.Client {
	p := edge.From(r.Context())
	return authn.Client{Addr: p.Client, ForwardedFor: p.ForwardedFor, Secure: p.Secure}
}

// seen tells the audit log who makes a request, or what the credentials said, and counts what came of them.
func (s *Server) seen(ctx context.Context, req *access.Request, name string, err error) {
	audit.Note(ctx, req)
	_, limited := authn.Limited(err)
	switch {
	case err == nil && req.Identity.Anonymous():
		return
	case err == nil:
		s.metrics.Credentials(string(req.Identity.Way), metrics.CredentialsGood)
		return
	case limited:
		s.metrics.Credentials("", metrics.CredentialsLimited)
	case errors.Is(err, authn.ErrWrong):
		s.metrics.Credentials("", metrics.CredentialsWrong)
	case ctx.Err() == nil:
		s.metrics.Credentials("", metrics.CredentialsUnavailable)
		s.log.WarnContext(ctx, "credentials could not be checked", "err", err)
	}
	audit.Claim(ctx, name)
}

// bearerChallenge names a token server.
func bearerChallenge(realm func(*http.Request) string, service string) func(*http.Request, string) string {
	return func(r *http.Request, why string) string { return authn.Bearer(realm(r), service, scopeOf(r), why) }
}

// reached is how a client reaches this registry: what the configuration says, else what its request says. Only the client itself is told.
func (s *Server) reached(r *http.Request) string {
	if at := s.now().Edge.ExternalURL; at != "" {
		return at
	}
	at := url.URL{Scheme: "http", Host: r.Host}
	if edge.Secure(r.Context()) || r.TLS != nil {
		at.Scheme = "https"
	}
	return at.String()
}

// scopeOf is the scope that a token must have for a request, in the form of the docker token flow.
func scopeOf(r *http.Request) string {
	rt := api.RouteOf(r)
	switch {
	case rt.Name == "catalog":
		return "registry:catalog:*"
	case rt.Repository == "":
		return ""
	}
	actions := "pull,push"
	switch {
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		actions = "pull"
	case r.Method == http.MethodDelete && rt.Name != "upload":
		actions = "delete"
	}
	scope := "repository:" + rt.Repository + ":" + actions
	if from, err := oci.ParseRepository(r.URL.Query().Get("from")); err == nil && rt.Name == "uploads" {
		scope += " repository:" + string(from) + ":pull"
	}
	return scope
}

// loginEnds are the paths of logging in with a browser.
func loginEnds(l http.Handler) []endpoint {
	return []endpoint{{path: login.PathLogin, serve: l, before: true}, {path: login.PathCallback, serve: l, before: true}, {path: login.PathLogout, serve: l, before: true}}
}

// newDoor builds the door of a configuration. root is the store that holds what it keeps; before the stores are open there is none: then nothing is served, and only
// what is wrong with the configuration comes out. Errors: ErrRefused.
func (s *Server) newDoor(cfg Config, root *store) (*door, error) {
	cfg.Rules.Authenticates = cfg.Rules.Authenticates || cfg.Auth.Given
	rules, err := policy.New(cfg.Rules)
	if err != nil {
		return nil, fmt.Errorf("%w: http.accessControl: %w", ErrRefused, err)
	}
	b := &builder{s: s, cfg: cfg, root: root, d: &door{rules: rules, closed: cfg.Rules.Authenticates}}
	b.standings = authn.Standings{b.configured()}
	b.authn = authn.Config{
		Open: !cfg.Rules.Authenticates, FailDelay: cfg.Auth.FailDelay, Failures: s.failures, Client: clientOf, Seen: s.seen,
		Refuse: func(w http.ResponseWriter, r *http.Request, status int, e *oci.Error) {
			closeAfterBody(w, r)
			api.WriteError(w, r, status, e)
		},
	}
	b.challenge = func(*http.Request, string) string {
		return authn.Basic(b.realm())
	}
	for _, part := range []struct {
		key   string
		build func() error
	}{
		{"htpasswd", b.htpasswd}, {"ldap", b.ldap}, {"mtls", b.certificates}, {"bearer", b.bearer}, {"bearer.oidc", b.workloads}, {"apikey", b.apiKeys},
		{"openid", b.logins}, {"token", b.tokens},
	} {
		if err := part.build(); err != nil {
			for _, end := range b.d.ends {
				end()
			}
			return nil, fmt.Errorf("%w: http.auth.%s: %w", ErrRefused, part.key, err)
		}
	}
	b.d.challenge, b.authn.Challenge = b.challenge, b.challenge
	b.d.authn = authn.New(b.authn, http.HandlerFunc(s.admitted))
	return b.d, nil
}
