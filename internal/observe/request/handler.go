package request

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Config says who is told of requests.
type Config struct {
	// Route says what a request's path means. It is called once for each, before anybody serves it.
	Route func(*http.Request) Route
	// Observers are told of each request, in this order.
	Observers []Observer
	// Client names the client where that is not the peer, else it returns ""; nil: it always is. The context is the one that the request is served with.
	Client func(context.Context) string
	// Level is the level of the line about a request that is no fault of ours.
	Level slog.Level
}

// Observer is told of requests.
type Observer interface {
	// Begin is told that a request is about to be served, and may set its Trace. The context that it returns is the one to serve it with; end is
	// called once, when it was served, by the same goroutine.
	Begin(ctx context.Context, req *Request, r *http.Request) (serve context.Context, end func(Outcome))
}

// Outcome is what came of a request.
type Outcome struct {
	// Status is what the client was told; StatusClientGone when it left before.
	Status int
	// Cut says that an answer ended before its end: the client left, or what the headers promised could not be kept.
	Cut bool
	// Gone says that the client left.
	Gone bool
	// In and Out are bytes of the bodies.
	In, Out int64
	Took    time.Duration
	// Err is why it is not what the client wanted; nil for most.
	Err error
	// Fault says that it is a fault of ours.
	Fault bool
	// Digest is what the answer says that it is about: its Docker-Content-Digest.
	Digest string
}

// StatusClientGone is the status of a request whose client hung up before it was answered. Nobody gets it.
const StatusClientGone = 499

// Code is the outcome as a label: the status, "cut" for an answer that we broke off.
func (o *Outcome) Code() string {
	switch {
	case o.Cut && o.Gone:
		return strconv.Itoa(StatusClientGone)
	case o.Cut:
		return "cut"
	}
	return strconv.Itoa(o.Status)
}

// Handler returns a handler that serves with next, and tells of it.
func Handler(next http.Handler, cfg Config, log *slog.Logger) http.Handler {
	return &handler{next: next, cfg: cfg, log: log}
}

type handler struct {
	next http.Handler
	cfg  Config
	log  *slog.Logger
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	req := &Request{Route: h.cfg.Route(r), ID: idOf(r)}
	ctx := context.WithValue(r.Context(), key{}, req)
	var few [6]func(Outcome)
	ends := few[:0]
	for _, o := range h.cfg.Observers {
		var end func(Outcome)
		ctx, end = o.Begin(ctx, req, r)
		ends = append(ends, end)
	}
	out := &counted{ResponseWriter: w}
	w.Header().Set("X-Request-Id", req.ID)
	served, in := r.WithContext(ctx), &countedBody{ReadCloser: r.Body}
	if r.Body != nil && r.Body != http.NoBody {
		served.Body = in
	}
	whole := false
	defer func() { // also when it panics, which is how an answer is broken off
		o := outcome(ctx, req, out, whole)
		o.In, o.Took = in.bytes, time.Since(began)
		for i := len(ends) - 1; i >= 0; i-- {
			ends[i](o)
		}
		h.line(ctx, r, req, &o)
	}()
	h.next.ServeHTTP(out, served)
	whole = true
}

func outcome(ctx context.Context, req *Request, out *counted, whole bool) Outcome {
	o := Outcome{Status: out.status, Out: out.bytes, Err: req.err, Digest: out.Header().Get("Docker-Content-Digest"), Cut: !whole, Gone: !whole && ctx.Err() != nil}
	if o.Status == 0 {
		switch {
		case whole:
			o.Status = http.StatusOK
		case o.Gone:
			o.Status = StatusClientGone
		default:
			o.Status = http.StatusInternalServerError
		}
	}
	o.Fault = !o.Gone && (o.Cut || req.fault && o.Status >= http.StatusInternalServerError)
	return o
}

// line writes the one line about a request.
func (h *handler) line(ctx context.Context, r *http.Request, req *Request, o *Outcome) {
	level := h.cfg.Level
	switch {
	case o.Fault:
		level = slog.LevelError
	case req.Quiet:
		level = min(level, slog.LevelDebug)
	}
	if !h.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", Clip(r.Method, 16)), slog.String("path", req.ShownPath()), slog.String("route", req.Name),
		slog.Int("status", o.Status), slog.Int64("bytes", o.Out), slog.Int64("bytes_in", o.In),
		slog.Float64("duration_ms", float64(o.Took.Microseconds())/1000)}
	client := ""
	if h.cfg.Client != nil {
		client = h.cfg.Client(ctx)
	}
	if client != "" {
		attrs = append(attrs, slog.String("client", client), slog.String("proxy", r.RemoteAddr))
	} else {
		attrs = append(attrs, slog.String("client", r.RemoteAddr))
	}
	if req.Repository != "" {
		attrs = append(attrs, slog.String("repo", req.Repository))
	}
	if agent := r.UserAgent(); agent != "" {
		attrs = append(attrs, slog.String("user_agent", Clip(agent, 128)))
	}
	if o.Cut {
		attrs = append(attrs, slog.Bool("cut", true))
	}
	if o.Err != nil {
		attrs = append(attrs, slog.Any("err", o.Err))
	}
	h.log.LogAttrs(context.WithoutCancel(ctx), level, "request", attrs...)
}

// Method is a request's method as a label, or in a name: a client may send any word, and so many of them.
func Method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

// maxPath is how much of a path is logged and traced, in bytes.
const maxPath = 512

// ShownPath is the beginning of Route.Path, for logs and traces.
func (r Route) ShownPath() string { return Clip(r.Path, maxPath) }

// Clip returns the beginning of a text that a client chose, at most limit bytes of it, in whole characters.
func Clip(s string, limit int) string {
	if len(s) > limit {
		end := limit
		for end > limit-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}

// counted remembers what was answered.
type counted struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader implements http.ResponseWriter. What comes before the last status (RFC 9110, 15.2) does not count.
func (w *counted) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *counted) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom implements io.ReaderFrom: a file goes on as a file, and may leave by sendfile(2).
func (w *counted) ReadFrom(src io.Reader) (int64, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := io.Copy(w.ResponseWriter, src)
	w.bytes += n
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *counted) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// countedBody counts what is read of a request's body.
type countedBody struct {
	io.ReadCloser
	bytes int64
}

// Read implements io.Reader.
func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.bytes += int64(n)
	return n, err
}
