package audit

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"holdfast/internal/access"
	"holdfast/internal/observe/request"
	"holdfast/internal/oci"
)

// Begin implements request.Observer. The line is written when the request was served, and before the last byte of a short answer is sent: such an
// answer leaves the process after that.
func (l *Log) Begin(ctx context.Context, req *request.Request, r *http.Request) (context.Context, func(request.Outcome)) {
	shown := credentials(r)
	if l == nil || req.Quiet && !shown { // with credentials somebody may guess, wherever he does
		return ctx, func(request.Outcome) {}
	}
	n := &notes{log: l, agent: r.UserAgent(), peer: host(r.RemoteAddr)}
	ctx = context.WithValue(ctx, key{}, n)
	return ctx, func(o request.Outcome) {
		if worth(r.Method, &o, shown) {
			l.write(ctx, n.line(req, r, &o))
		}
	}
}

// worth reports whether a request has a line: one that writes, or was denied. The challenge that clients without credentials begin with is no denial.
func worth(method string, o *request.Outcome, credentials bool) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
	default:
		return true
	}
	switch o.Status {
	case http.StatusUnauthorized:
		return credentials
	case http.StatusForbidden, http.StatusTooManyRequests:
		return true
	}
	return false
}

func (n *notes) line(req *request.Request, r *http.Request, o *request.Outcome) *line {
	one := &line{
		Event: "request", Method: request.Method(r.Method), Route: req.Name, Repository: req.Repository, Status: o.Status, Outcome: Done,
		Bytes: o.In, Millis: o.Took.Milliseconds(), Request: req.ID, Digest: o.Digest,
	}
	n.fill(one)
	switch {
	case o.Status == http.StatusUnauthorized || o.Status == http.StatusForbidden || o.Status == http.StatusTooManyRequests:
		one.Outcome = Denied
	case o.Status >= http.StatusBadRequest || o.Cut:
		one.Outcome = Failed
	}
	var asked interface{ Asked() access.Action } // of a refusal by the rules
	if errors.As(o.Err, &asked) && one.Action == "" {
		one.Action = string(asked.Asked())
	}
	var several oci.Errors
	var err *oci.Error
	switch {
	case errors.As(o.Err, &several) && len(several) > 0:
		one.Code = string(several[0].Code)
	case errors.As(o.Err, &err):
		one.Code = string(err.Code)
	}
	one.name(req, r.URL)
	return one
}

// name says what a request is about, by its path and the few fields of its query that are no secret.
func (l *line) name(req *request.Request, u *url.URL) {
	query := func(name string) string { return u.Query().Get(name) }
	switch req.Name {
	case "manifest", "blob", "referrers":
		l.Reference = req.Path[strings.LastIndexByte(req.Path, '/')+1:]
		if d, err := oci.ParseDigest(l.Reference); err == nil && l.Digest == "" {
			l.Digest = string(d)
		}
	case "upload", "uploads":
		for _, field := range []string{"digest", "mount"} {
			if d, err := oci.ParseDigest(query(field)); err == nil && l.Digest == "" {
				l.Digest = string(d)
			}
		}
		if from, err := oci.ParseRepository(query("from")); err == nil {
			l.From = string(from)
		}
	}
	if l.Repository == "" {
		l.Path = req.ShownPath()
	}
}

func host(address string) string {
	if h, _, err := net.SplitHostPort(address); err == nil {
		return h
	}
	return address
}
