package server

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
	"holdfast/internal/access/authn/htpasswd"
	"holdfast/internal/access/policy"
	"holdfast/internal/api"
	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// service is what tokens call this registry, where the configuration does not say.
const service = "holdfast"

// door is what requests pass before they are served, as one configuration has it.
type door struct {
	authn     *authn.Handler
	challenge func(r *http.Request, why string) string
	rules     *policy.Policy
	closed    bool // something must be shown at GET /v2/, so that clients learn how
	end       func()
}

// newDoor builds it. What it follows, files for instance, it follows until end. Errors: ErrRefused.
func (s *Server) newDoor(ctx context.Context, cfg Config) (*door, error) {
	cfg.Rules.Authenticates = cfg.Rules.Authenticates || cfg.Auth.Given
	rules, err := policy.New(cfg.Rules)
	if err != nil {
		return nil, fmt.Errorf("%w: http.accessControl: %w", ErrRefused, err)
	}
	auth := cfg.Auth
	c := authn.Config{
		Open: !auth.Given, FailDelay: auth.FailDelay, Failures: s.failures, Client: clientOf,
		Refuse: func(w http.ResponseWriter, r *http.Request, status int, e *oci.Error) {
			closeAfterBody(w, r)
			api.WriteError(w, r, status, e)
		},
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var following sync.WaitGroup
	d := &door{rules: rules, closed: auth.Given, end: func() { cancel(); following.Wait() }}
	if auth.Htpasswd != "" {
		way, err := htpasswd.Open(auth.Htpasswd, s.log)
		if err != nil {
			d.end()
			return nil, fmt.Errorf("%w: http.auth.htpasswd.path: %w", ErrRefused, err)
		}
		c.Passwords = append(c.Passwords, way)
		following.Go(func() { way.Watch(ctx, nil) })
	}
	realm := cmp.Or(auth.Realm, "Authorization Required")
	d.challenge = func(*http.Request, string) string { return authn.Basic(realm) }
	c.Challenge = d.challenge
	d.authn = authn.New(c, http.HandlerFunc(s.admitted))
	return d, nil
}

// useDoor has requests pass another door. Those that have passed the old one go on.
func (s *Server) useDoor(d *door) {
	if old := s.door.Swap(d); old != nil {
		go old.end()
	}
}

// enter lets a request in, or answers it.
func (s *Server) enter(w http.ResponseWriter, r *http.Request) { s.door.Load().authn.ServeHTTP(w, r) }

// admitted serves a request of which it is known who makes it.
func (s *Server) admitted(w http.ResponseWriter, r *http.Request) {
	req := access.From(r.Context())
	id := req.Identity
	h := s.api.Load()
	switch {
	case s.cfg.MetricsPath != "" && r.URL.Path == s.cfg.MetricsPath:
		s.serveMetrics(w, r, req)
	case h == nil:
		closeAfterBody(w, r)
		api.WriteUnavailable(w, r)
	case s.door.Load().closed && id.Way == access.Nobody && api.RouteOf(r).Name == "base":
		closeAfterBody(w, r)
		w.Header().Set("WWW-Authenticate", s.challenge(r))
		api.WriteError(w, r, http.StatusUnauthorized, oci.Errorf(oci.Unauthorized, "credentials are needed"))
	default:
		h.ServeHTTP(w, r.WithContext(registry.WithCaller(r.Context(), id.Name)))
	}
}

// serveMetrics tells the metrics to whoever may know them.
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request, req *access.Request) {
	closeAfterBody(w, r)
	switch {
	case s.rules().Metrics(req):
		s.scrape.ServeHTTP(w, r)
	case req.Identity.Anonymous():
		w.Header().Set("WWW-Authenticate", s.challenge(r))
		api.WriteError(w, r, http.StatusUnauthorized, oci.Errorf(oci.Unauthorized, "credentials are needed"))
	default:
		api.WriteError(w, r, http.StatusForbidden, oci.Errorf(oci.Denied, "you may not read the metrics"))
	}
}

// challenge says how a client that was refused can say who it is.
func (s *Server) challenge(r *http.Request) string { return s.door.Load().challenge(r, "") }

// rules are those in force.
func (s *Server) rules() *policy.Policy { return s.door.Load().rules }

// clientOf says where a request comes from.
func clientOf(r *http.Request) authn.Client {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return authn.Client{}
	}
	return authn.Client{Addr: addr.Unmap()}
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
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		actions = "pull"
	case http.MethodDelete:
		actions = "delete"
		if rt.Name == "upload" {
			actions = "pull,push"
		}
	}
	scope := "repository:" + rt.Repository + ":" + actions
	if from, err := oci.ParseRepository(r.URL.Query().Get("from")); err == nil && strings.HasSuffix(r.URL.Path, "/blobs/uploads/") {
		scope += " repository:" + string(from) + ":pull"
	}
	return scope
}
