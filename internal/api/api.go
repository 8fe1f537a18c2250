package api

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"holdfast/internal/observe/request"
	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// Config is what an operator can choose. The zero value is the documented default.
type Config struct {
	Progress    time.Duration // a body without progress for this long is cut; 0: never
	MinBodyRate int64         // bytes a second that a body must bring over 30 s, or over Progress when that is shorter; 0: 1 KiB; below 0, or with Progress 0: no bound
	NoDelete    bool          // deletes answer 405
	// Challenge is the value of WWW-Authenticate for a request that needs credentials; nil: none are asked for.
	Challenge   func(*http.Request) string
	RedirectTTL time.Duration // how long the URL is good for that a redirect points to, where blobs have one; 0: 20 min
}

// defaultRedirectTTL is how long a redirect's URL is good for.
const defaultRedirectTTL = 20 * time.Minute

// Handler serves /v2/. Safe for concurrent use.
type Handler struct {
	registry registry.Registry
	cfg      Config
	large    turns
}

// New returns a handler for a registry. It writes no log: the request.Handler that it is served by does, and is told why a request failed.
func New(r registry.Registry, cfg Config) *Handler {
	if cfg.RedirectTTL == 0 {
		cfg.RedirectTTL = defaultRedirectTTL
	}
	if cfg.MinBodyRate == 0 {
		cfg.MinBodyRate = defaultMinBodyRate
	}
	return &Handler{registry: r, cfg: cfg, large: newTurns()}
}

// With returns a handler for the same registry with another configuration. Requests that have begun go on with theirs.
func (h *Handler) With(cfg Config) *Handler {
	next := New(h.registry, cfg)
	next.large = h.large
	return next
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := &begunBody{ReadCloser: r.Body}
	rec := &recorder{ResponseWriter: w, before: func(status int) {
		h.drain(w, r, body.begun, status)
		h.boundAnswer(w)
	}}
	setCommonHeaders(rec.Header())
	closeAfterUnclear(rec, r)
	h.boundBody(rec, r)
	err := h.serve(rec, body.of(r))
	status := rec.status
	if err != nil && !rec.wrote {
		var errs []*oci.Error
		if status, errs = answerFor(r.Context(), err); status != statusClientGone {
			if status == http.StatusUnauthorized && h.cfg.Challenge != nil {
				rec.Header().Set("WWW-Authenticate", h.cfg.Challenge(r))
			}
			writeError(rec, r, status, errs)
		}
	}
	if errors.Is(err, registry.ErrDeleted) {
		request.Explain(r.Context(), err) // two clients' race, not a fault
	} else {
		request.Fail(r.Context(), err)
	}
	if err != nil && (rec.wrote && rec.status < 400 || status == statusClientGone) {
		// What was promised by the headers cannot be kept: the client must see a broken transfer.
		panic(http.ErrAbortHandler)
	}
}

// serve answers, or returns the error to answer with; a panic is a bug of ours and an error.
func (h *Handler) serve(w *recorder, r *http.Request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("api: panic: %v\n%s", p, debug.Stack())
		}
	}()
	rt := parseRoute(r.URL.EscapedPath())
	if rt.endpoint == endpointBase || rt.endpoint == endpointCatalog {
		if !isRead(r.Method) {
			return methodNotAllowed(w, rt, r)
		}
		if rt.endpoint == endpointBase {
			writeJSON(w, r, http.StatusOK, "application/json", struct{}{})
			return nil
		}
		return h.catalog(w, r)
	}
	if rt.endpoint == endpointNone && !strings.HasPrefix(r.URL.EscapedPath(), "/v2/") {
		return methodNotAllowed(w, rt, r) // no path of the API at all
	}
	repo, err := oci.ParseRepository(rt.name)
	if err != nil {
		return err
	}
	return h.serveRepository(w, r, rt, repo)
}

func (h *Handler) serveRepository(w *recorder, r *http.Request, rt route, repo oci.Repository) error {
	if r.Method == http.MethodDelete && h.cfg.NoDelete && (rt.endpoint == endpointManifest || rt.endpoint == endpointBlob) {
		return oci.Errorf(oci.Unsupported, "deleting is switched off on this registry").With(oci.NotAllowed)
	}
	type key struct {
		endpoint endpoint
		method   string
	}
	method := r.Method
	if method == http.MethodHead && rt.endpoint != endpointBlob {
		method = http.MethodGet
	}
	var serve func(*recorder, *http.Request, oci.Repository, string) error
	switch (key{rt.endpoint, method}) {
	case key{endpointBlob, http.MethodGet}:
		serve = h.getBlob
	case key{endpointBlob, http.MethodHead}:
		serve = h.headBlob
	case key{endpointBlob, http.MethodDelete}:
		serve = h.deleteBlob
	case key{endpointUploads, http.MethodPost}:
		serve = h.postUpload
	case key{endpointUpload, http.MethodGet}:
		serve = h.getUpload
	case key{endpointUpload, http.MethodPatch}:
		serve = h.patchUpload
	case key{endpointUpload, http.MethodPut}:
		serve = h.putUpload
	case key{endpointUpload, http.MethodDelete}:
		serve = h.deleteUpload
	case key{endpointManifest, http.MethodGet}:
		serve = h.getManifest
	case key{endpointManifest, http.MethodPut}:
		serve = h.putManifest
	case key{endpointManifest, http.MethodDelete}:
		serve = h.deleteManifest
	case key{endpointTags, http.MethodGet}:
		serve = h.listTags
	case key{endpointReferrers, http.MethodGet}:
		serve = h.listReferrers
	default:
		return methodNotAllowed(w, rt, r)
	}
	return serve(w, r, repo, rt.last)
}

func methodNotAllowed(w http.ResponseWriter, rt route, r *http.Request) error {
	if rt.endpoint == endpointNone {
		return oci.Errorf(oci.NameUnknown, "the API has no such endpoint")
	}
	w.Header().Set("Allow", rt.endpoint.methods())
	return oci.Errorf(oci.Unsupported, "method %s is not allowed here: use %s", oci.Clip(r.Method), rt.endpoint.methods()).With(oci.NotAllowed)
}

func setCommonHeaders(h http.Header) {
	h["Docker-Distribution-Api-Version"] = versionHeader
	h["X-Content-Type-Options"] = nosniffHeader
	h["Content-Security-Policy"] = policyHeader
	h["Cache-Control"] = noCacheHeader
}

// closeAfterUnclear ends the connection after a request whose end a proxy in front may see elsewhere than we do,
// so that what follows is never read as a second request: a body in chunked encoding may have had a Content-Length
// beside it (RFC 9112, 6.3), and one of HTTP/1.0 may have been in chunked encoding; net/http does not tell.
func closeAfterUnclear(w http.ResponseWriter, r *http.Request) {
	if len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1) {
		w.Header().Set("Connection", "close")
	}
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	before func(status int) // called once, before the header is written
	status int
	wrote  bool
}

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) {
	if !w.wrote {
		w.status, w.wrote = status, true
		w.before(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *recorder) Write(p []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// errNotWhole marks an answer that broke off.
var errNotWhole = errors.New("api: the answer broke off")
