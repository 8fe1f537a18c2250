package authn

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"holdfast/internal/access"
	"holdfast/internal/oci"
)

// Bounds of an Authorization header: what is longer is none of ours.
const (
	maxNameBytes     = 256
	maxPasswordBytes = 4 << 10
	maxTokenBytes    = 16 << 10
)

// Config says how requests are authenticated.
type Config struct {
	// Passwords and Bearers are asked in their order, until one knows the credentials.
	Passwords []Passwords
	// Keys are asked instead for passwords that IsKey knows for keys; nil: there are none. Nobody guesses them, so that a name's failures do not lock its keys out.
	Keys  Passwords
	IsKey func(password string) bool
	// KnownKey reports whether a key is known to be somebody's. Any other costs a read of the store, and is not looked at for an address that has failed too often.
	KnownKey     func(password string) bool
	Bearers      []Bearers
	Certificates Certificates // nil: certificates name nobody
	// Foreign reports whether a page of another origin has a browser ask for a change. A browser shows a certificate whichever page asks, so that it then names nobody;
	// nil: none does.
	Foreign  func(*http.Request) bool
	Sessions Sessions // nil: no cookies
	// Open says that no authentication is configured: whatever credentials come, they are not looked at.
	Open      bool
	FailDelay time.Duration
	Failures  *Failures
	// Client says where a request comes from.
	Client func(*http.Request) Client
	// Challenge is the value of WWW-Authenticate for a request that must show credentials, and why: "" or an error of RFC 6750, 3.1.
	Challenge func(r *http.Request, why string) string
	// Refuse answers with an error.
	Refuse func(w http.ResponseWriter, r *http.Request, status int, e *oci.Error)
	// Seen is told who it is, and what went wrong, before the request is served; nil: nobody is. name is what was shown, which may be anything.
	Seen func(ctx context.Context, req *access.Request, name string, err error)
}

// Client is where a request comes from.
type Client struct {
	Addr         netip.Addr
	ForwardedFor string
	Secure       bool
}

// Handler finds out who makes a request, and serves it with next.
type Handler struct {
	cfg  Config
	next http.Handler
	// unknown is how long each of Passwords took to find that it does not know a name, in nanoseconds: the last time.
	unknown []atomic.Int64
}

// New returns a handler.
func New(cfg Config, next http.Handler) *Handler {
	return &Handler{cfg: cfg, next: next, unknown: make([]atomic.Int64, len(cfg.Passwords))}
}

// limitedError is too many failures.
type limitedError struct{ wait time.Duration }

// Error implements error.
func (e *limitedError) Error() string {
	return fmt.Sprintf("authn: too many failures: wait %s", e.wait)
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req := h.Request(r)
	id, name, err := h.identify(r, req)
	req.Identity = id
	if h.cfg.Seen != nil {
		h.cfg.Seen(r.Context(), req, name, err)
	}
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	h.next.ServeHTTP(w, r.WithContext(access.With(r.Context(), req)))
}

// Request is what is known of a request without any credentials.
func (h *Handler) Request(r *http.Request) *access.Request {
	client := h.cfg.Client(r)
	req := &access.Request{
		Time: time.Now(), Method: r.Method, UserAgent: r.UserAgent(),
		Client: client.Addr, ForwardedFor: client.ForwardedFor, Secure: client.Secure || r.TLS != nil,
	}
	if r.TLS != nil {
		req.TLSVersion = strings.TrimPrefix(tls.VersionName(r.TLS.Version), "TLS ")
	}
	return req
}

// identify finds out who it is. name is what the credentials said.
func (h *Handler) identify(r *http.Request, req *access.Request) (id access.Identity, name string, err error) {
	if h.cfg.Open {
		return access.Identity{}, "", nil
	}
	headers := r.Header["Authorization"]
	switch {
	case len(headers) > 1:
		return id, "", fmt.Errorf("%w: %d Authorization headers", ErrWrong, len(headers))
	case len(headers) == 1:
		scheme, rest, _ := strings.Cut(headers[0], " ")
		switch {
		case strings.EqualFold(scheme, "Basic"):
			return h.basic(r.Context(), req, strings.TrimSpace(rest))
		case strings.EqualFold(scheme, "Bearer"):
			id, err = h.bearer(r.Context(), req, strings.TrimSpace(rest))
			return id, id.Name, err
		}
		return id, "", fmt.Errorf("%w: an Authorization of another scheme than Basic and Bearer", ErrWrong)
	}
	if h.cfg.Sessions != nil {
		if id, err = h.cfg.Sessions.Session(r); err == nil || !errors.Is(err, ErrOther) && !errors.Is(err, ErrWrong) {
			return id, id.Name, err
		}
	}
	if h.cfg.Certificates != nil && r.TLS != nil && len(r.TLS.VerifiedChains) > 0 && (h.cfg.Foreign == nil || !h.cfg.Foreign(r)) {
		id, err = h.cfg.Certificates.Identify(r.TLS.PeerCertificates[0])
		return id, id.Name, err
	}
	return access.Identity{}, "", nil
}

// basic checks a name and a password.
func (h *Handler) basic(ctx context.Context, req *access.Request, text string) (id access.Identity, name string, err error) {
	if len(text) > base64.StdEncoding.EncodedLen(maxNameBytes+1+maxPasswordBytes) {
		return id, "", fmt.Errorf("%w: an Authorization header of %d bytes", ErrWrong, len(text))
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return id, "", fmt.Errorf("%w: not in base64", ErrWrong)
	}
	name, password, found := strings.Cut(string(raw), ":")
	if !found {
		return id, "", fmt.Errorf("%w: no name and password", ErrWrong)
	}
	if !fit(name, password) {
		return id, "", errUnfit
	}
	id, err = h.CheckPassword(ctx, req, name, password)
	return id, name, err
}

var errUnfit = fmt.Errorf("%w: the name or the password is empty, too long, or not text", ErrWrong)

// fit reports whether a name and a password can be anybody's: what is longer would be remembered with the failures.
func fit(name, password string) bool {
	return name != "" && len(name) <= maxNameBytes && utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) &&
		password != "" && len(password) <= maxPasswordBytes && utf8.ValidString(password) && !strings.Contains(password, "\x00")
}

// CheckPassword asks the ways of authentication by password, within the bound of failures. It is what the token endpoint asks too. Errors: ErrWrong, too
// many failures (Refuse knows it), and those of a backend.
func (h *Handler) CheckPassword(ctx context.Context, req *access.Request, name, password string) (access.Identity, error) {
	if !fit(name, password) {
		return access.Identity{}, errUnfit
	}
	known := func() (access.Identity, bool) {
		for _, way := range h.cfg.Passwords {
			k, ok := way.(interface {
				Known(name, password string) (access.Identity, bool)
			})
			if !ok {
				continue
			}
			if id, right := k.Known(name, password); right {
				return id, true
			}
		}
		return access.Identity{}, false
	}
	if h.cfg.Keys != nil && h.cfg.IsKey(password) {
		return h.key(ctx, req, name, password)
	}
	for {
		// What is known to be right is never in the way of what somebody else gets wrong.
		if id, right := known(); right {
			return id, nil
		}
		try := h.cfg.Failures.begin(name, req.Client)
		switch {
		case try.end != nil:
			return h.counted(ctx, try, name, password)
		case try.wait > 0:
			return access.Identity{}, &limitedError{try.wait}
		}
		select {
		case <-try.turn:
		case <-ctx.Done():
			return access.Identity{}, ctx.Err()
		}
	}
}

// counted asks, and counts a failure. It does so to its end when the client leaves, who might else guess on: what is right is answered soon, and whoever has waited
// for longer knows that it was wrong. Each way bounds the time that it takes.
func (h *Handler) counted(ctx context.Context, try attempt, name, password string) (id access.Identity, err error) {
	err = ErrWrong // when it panics
	defer func() { try.end(errors.Is(err, ErrWrong)) }()
	return h.ask(context.WithoutCancel(ctx), name, password)
}

// ask asks one way after the other. When one says that the password is wrong the others need not be asked; it takes as long as if they were, or it would tell which names the
// first one knows.
func (h *Handler) ask(ctx context.Context, name, password string) (access.Identity, error) {
	for i, way := range h.cfg.Passwords {
		began := time.Now()
		id, err := way.Check(ctx, name, password)
		switch {
		case err == nil:
			return id, nil
		case errors.Is(err, ErrOther):
			h.unknown[i].Store(int64(time.Since(began)))
		case errors.Is(err, ErrWrong):
			var rest time.Duration
			for j := i + 1; j < len(h.unknown); j++ {
				rest += time.Duration(h.unknown[j].Load())
			}
			sleep(ctx, rest)
			return access.Identity{}, err
		default:
			return access.Identity{}, err
		}
	}
	return access.Identity{}, ErrWrong
}

// bearer checks a token. One that has expired is ordinary, and no failure: any other that is wrong is counted by the address, afterwards, since any number
// of good ones may come at once.
func (h *Handler) bearer(ctx context.Context, req *access.Request, token string) (access.Identity, error) {
	if token == "" || len(token) > maxTokenBytes {
		return access.Identity{}, fmt.Errorf("%w: a token of %d bytes", ErrWrong, len(token))
	}
	if err := h.affordable(req, token); err != nil {
		return access.Identity{}, err
	}
	id, err := access.Identity{}, ErrOther
	for _, way := range h.cfg.Bearers {
		if id, err = way.Verify(ctx, token); !errors.Is(err, ErrOther) {
			break
		}
	}
	switch {
	case err == nil:
		return id, nil
	case errors.Is(err, ErrExpired), !errors.Is(err, ErrOther) && !errors.Is(err, ErrWrong):
		return access.Identity{}, err
	}
	if err := h.failed(req); err != nil {
		return access.Identity{}, err
	}
	return access.Identity{}, fmt.Errorf("%w: %w", ErrWrong, err)
}

// key checks a key: as a token, it is counted by the address, afterwards.
func (h *Handler) key(ctx context.Context, req *access.Request, name, password string) (access.Identity, error) {
	if err := h.affordable(req, password); err != nil {
		return access.Identity{}, err
	}
	id, err := h.cfg.Keys.Check(ctx, name, password)
	switch {
	case err == nil:
		return id, nil
	case errors.Is(err, ErrExpired), !errors.Is(err, ErrOther) && !errors.Is(err, ErrWrong):
		return access.Identity{}, err
	}
	if err := h.failed(req); err != nil {
		return access.Identity{}, err
	}
	return access.Identity{}, fmt.Errorf("%w: %w", ErrWrong, err)
}

// affordable refuses to look at a key that nobody is known to have, for an address that has failed too often. Errors: wait.
func (h *Handler) affordable(req *access.Request, key string) error {
	if h.cfg.IsKey == nil || !h.cfg.IsKey(key) || h.cfg.KnownKey(key) {
		return nil
	}
	if wait := h.cfg.Failures.spent(req.Client); wait > 0 {
		return &limitedError{wait}
	}
	return nil
}

// failed counts a failure of an address. Errors: there were too many.
func (h *Handler) failed(req *access.Request) error {
	try := h.cfg.Failures.begin("", req.Client)
	switch {
	case try.end != nil:
		try.end(true)
	case try.wait > 0:
		return &limitedError{try.wait}
	}
	return nil
}

// refuse answers a request whose credentials are not good, or could not be checked.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var limited *limitedError
	switch {
	case errors.As(err, &limited):
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(limited.wait.Seconds()))))
		h.cfg.Refuse(w, r, http.StatusTooManyRequests, oci.Errorf(oci.TooManyRequests, "too many failed logins: wait, then try again"))
	case errors.Is(err, ErrWrong):
		sleep(r.Context(), h.cfg.FailDelay)
		w.Header().Set("WWW-Authenticate", h.cfg.Challenge(r, "invalid_token"))
		h.cfg.Refuse(w, r, http.StatusUnauthorized, oci.Errorf(oci.Unauthorized, "bad credentials"))
	default:
		h.cfg.Refuse(w, r, http.StatusServiceUnavailable, oci.Errorf(oci.Unavailable, "the credentials cannot be checked now: try again"))
	}
}

// sleep waits, unless ctx ends before.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Basic is a challenge of RFC 7617.
func Basic(realm string) string { return "Basic realm=" + quoted(realm) + `, charset="UTF-8"` }

// Bearer is a challenge of RFC 6750 in the form that registry clients know. scope and why may be "".
func Bearer(realm, service, scope, why string) string {
	text := "Bearer realm=" + quoted(realm) + ",service=" + quoted(service)
	if scope != "" {
		text += ",scope=" + quoted(scope)
	}
	if why != "" {
		text += ",error=" + quoted(why)
	}
	return text
}

// quoted is a quoted-string of RFC 9110, 5.6.4.
func quoted(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
