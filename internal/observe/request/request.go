package request

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
)

// Route is what a path means.
type Route struct {
	// Name is one of few: a label of metrics, never a path.
	Name string
	// Repository is the one that the path names, "" for none, and for a name that no repository can have.
	Repository string
	// Path is the path as it may be logged.
	Path string
	// Quiet routes are asked every second by machines: they are logged at debug.
	Quiet bool
}

// Request is a request that is being served. Its exported fields are set before anybody serves it, and do not change then.
type Request struct {
	Route
	// ID is the X-Request-Id of the request, when that is harmless, or made here. The answer carries it.
	ID string
	// Trace is the id of the trace, in hex; "" when nothing is traced.
	Trace string

	err   error
	fault bool
}

type key struct{}

// From returns the request that a context belongs to, or nil.
func From(ctx context.Context) *Request {
	req, _ := ctx.Value(key{}).(*Request)
	return req
}

// Fail says, for the log, why a request is not answered as it was meant to be. An error of ours, with a status of 500 or more or an answer that breaks
// off, makes the line an error's. It is for the goroutine that serves the request; without a request it does nothing.
func Fail(ctx context.Context, err error) { note(ctx, err, true) }

// Explain is Fail for what is no fault, whatever the status: two clients' race for one.
func Explain(ctx context.Context, err error) { note(ctx, err, false) }

func note(ctx context.Context, err error, fault bool) {
	if req := From(ctx); req != nil && err != nil {
		req.err, req.fault = err, fault
	}
}

// maxID is the length of the longest id that is taken from a request.
const maxID = 64

// idOf returns the id that the proxy in front gave the request, if it is harmless, or a new one.
func idOf(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	ok := id != "" && len(id) <= maxID
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

// Logs returns a handler that adds to each line the request that its context belongs to: request, and trace where there is one.
func Logs(next slog.Handler) slog.Handler { return logs{next} }

type logs struct{ slog.Handler }

// Handle implements slog.Handler.
func (l logs) Handle(ctx context.Context, line slog.Record) error {
	if req := From(ctx); req != nil {
		line.AddAttrs(slog.String("request", req.ID))
		if req.Trace != "" {
			line.AddAttrs(slog.String("trace", req.Trace))
		}
	}
	return l.Handler.Handle(ctx, line)
}

// WithAttrs implements slog.Handler.
func (l logs) WithAttrs(attrs []slog.Attr) slog.Handler { return logs{l.Handler.WithAttrs(attrs)} }

// WithGroup implements slog.Handler.
func (l logs) WithGroup(name string) slog.Handler { return logs{l.Handler.WithGroup(name)} }
