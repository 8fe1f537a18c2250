package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// Config is what an operator can choose. The zero value is the documented default.
type Config struct {
	Progress    time.Duration // a body without progress for this long is cut; 0: never
	NoDelete    bool          // deletes answer 405
	RedirectTTL time.Duration // how long the URL is good for that a redirect points to, where blobs have one; 0: 20 min
}

// defaultRedirectTTL is how long a redirect's URL is good for.
const defaultRedirectTTL = 20 * time.Minute

// Handler serves /v2/. Safe for concurrent use.
type Handler struct {
	registry registry.Registry
	cfg      Config
	log      *slog.Logger
}

// New returns a handler for a registry.
func New(r registry.Registry, cfg Config, log *slog.Logger) *Handler {
	if cfg.RedirectTTL == 0 {
		cfg.RedirectTTL = defaultRedirectTTL
	}
	return &Handler{registry: r, cfg: cfg, log: log}
}

// With returns a handler for the same registry with another configuration. Requests that have begun go on with theirs.
func (h *Handler) With(cfg Config) *Handler { return New(h.registry, cfg, h.log) }

// ServeHTTP answers one request and logs one line about it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	id := requestID(r)
	body := &begunBody{ReadCloser: r.Body}
	rec := &recorder{ResponseWriter: w, before: func(status int) { h.drain(w, r, body.begun, status) }}
	setCommonHeaders(rec.Header(), id)
	closeAfterUnclear(rec, r)
	h.boundBody(rec, r)
	err := h.serve(rec, body.of(r))
	status := rec.status
	if err != nil && !rec.wrote {
		var errs []*oci.Error
		if status, errs = answerFor(r.Context(), err); status != statusClientGone {
			writeError(rec, r, status, errs)
		}
	}
	h.logRequest(r, id, status, rec.bytes, time.Since(started), err)
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

func setCommonHeaders(h http.Header, id string) {
	h.Set("Docker-Distribution-Api-Version", "registry/2.0")
	h.Set("X-Request-Id", id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
	h.Set("Cache-Control", "private, no-cache")
}

// closeAfterUnclear ends the connection after a request whose end a proxy in front may see elsewhere than we do,
// so that what follows is never read as a second request: a body in chunked encoding may have had a Content-Length
// beside it (RFC 9112, 6.3), and one of HTTP/1.0 may have been in chunked encoding; net/http does not tell.
func closeAfterUnclear(w http.ResponseWriter, r *http.Request) {
	if len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1) {
		w.Header().Set("Connection", "close")
	}
}

// requestID returns the id that the proxy in front gave the request, if it is harmless, or a new one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	ok := id != "" && len(id) <= 64
	for i := 0; ok && i < len(id); i++ {
		c := id[i]
		ok = c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_' || c == '.' || c == ':'
	}
	if ok {
		return id
	}
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return hex.EncodeToString(b[:])
}

func (h *Handler) logRequest(r *http.Request, id string, status int, bytes int64, took time.Duration, err error) {
	level := slog.LevelInfo
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", r.URL.EscapedPath()), slog.Int("status", status),
		slog.Int64("bytes", bytes), slog.Duration("took", took), slog.String("request", id), slog.String("client", r.RemoteAddr),
	}
	if err != nil {
		attrs = append(attrs, slog.Any("err", err))
		if status >= 500 || status < 400 {
			level = slog.LevelError
		}
		if errors.Is(err, registry.ErrDeleted) {
			level = slog.LevelInfo // two clients' race, not a fault
		}
	}
	h.log.LogAttrs(context.WithoutCancel(r.Context()), level, "request", attrs...)
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	before func(status int) // called once, before the header is written
	status int
	bytes  int64
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
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// errNotWhole marks an answer that broke off.
var errNotWhole = errors.New("api: the answer broke off")
