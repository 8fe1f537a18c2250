// Package stores tells observers of the requests that are made to stores: by a hook of the S3 client, and by wrappers around the local drivers. What it
// tells is safe to show: the kind of a key, never the key, and no more of an error than its class.
//
// Start with Observers.
package stores

import (
	"context"
	"errors"
	"strings"

	"holdfast/internal/data"
	"holdfast/internal/record"
	"holdfast/internal/s3"
)

// The kinds of stores.
const (
	S3   = "s3"
	Bolt = "bolt"
	File = "file"
)

// SegmentKey is the kind of the keys of segments.
const SegmentKey = "segment"

// Call is an operation that begins.
type Call struct {
	Store     string // the kind
	Operation string // PutObject for S3, Put for a local driver
	Key       string // the kind of the key: "blob", "link", "segment"; "" where there is none
}

// Outcome is what came of an operation, as one of few words.
type Outcome string

// The outcomes.
const (
	OK        Outcome = "ok"
	NotFound  Outcome = "not_found" // the store says that there is nothing
	Conflict  Outcome = "conflict"  // a condition did not hold: somebody else was first
	Throttled Outcome = "throttled" // the store asks for fewer requests
	Timeout   Outcome = "timeout"   // no answer in time
	NotSent   Outcome = "not_sent"  // no connection, or the store did not answer lately and was not asked
	Denied    Outcome = "denied"    // wrong credentials, or no permission
	Rejected  Outcome = "rejected"  // the store refuses the request as wrong
	Canceled  Outcome = "canceled"  // the caller did not want it any more
	Failed    Outcome = "error"     // a 5xx, a broken connection, a disk
)

// Outcomes are all of them.
func Outcomes() []Outcome {
	return []Outcome{OK, NotFound, Conflict, Throttled, Timeout, NotSent, Denied, Rejected, Canceled, Failed}
}

// Result is what an operation came to.
type Result struct {
	Outcome Outcome
	Sent    int // requests: more than one where it was repeated, none where it was not sent
}

// Observer is told of operations. Begin returns the context for the operation, and what is called once when it has ended: for a read of a segment when its
// bytes begin to come, for a list when it was read as far as the caller wanted.
type Observer interface {
	BeginStore(ctx context.Context, call Call) (context.Context, func(Result))
}

// Observers are told of each operation, in this order.
type Observers []Observer

// begin tells all.
func (o Observers) begin(ctx context.Context, call Call) (context.Context, func(Result)) {
	if len(o) == 1 {
		return o[0].BeginStore(ctx, call)
	}
	ends := make([]func(Result), len(o))
	for i, one := range o {
		ctx, ends[i] = one.BeginStore(ctx, call)
	}
	return ctx, func(r Result) {
		for i := len(ends) - 1; i >= 0; i-- {
			ends[i](r)
		}
	}
}

// S3 is for s3.Config.Observe.
func (o Observers) S3(ctx context.Context, op, key string) (context.Context, func(int, error)) {
	ctx, end := o.begin(ctx, Call{Store: S3, Operation: op, Key: KeyKind(key)})
	return ctx, func(sent int, err error) { end(Result{Outcome: outcomeS3(err), Sent: sent}) }
}

func outcomeS3(err error) Outcome {
	switch {
	case err == nil:
		return OK
	case s3.IsContext(err):
		return Canceled
	}
	switch s3.KindOf(err) {
	case s3.NotFound, s3.NoUpload:
		return NotFound
	case s3.Precondition, s3.Conflict:
		return Conflict
	case s3.Throttled:
		return Throttled
	case s3.Timeout:
		return Timeout
	case s3.NotSent:
		return NotSent
	case s3.Denied:
		return Denied
	case s3.Rejected, s3.BadRange:
		return Rejected
	case s3.Unavailable:
	}
	return Failed
}

func outcomeLocal(err error) Outcome {
	switch {
	case err == nil:
		return OK
	case errors.Is(err, record.ErrNotFound), errors.Is(err, data.ErrNotFound):
		return NotFound
	case errors.Is(err, record.ErrConflict):
		return Conflict
	case errors.Is(err, record.ErrUnsupported), errors.Is(err, data.ErrNoURL), errors.Is(err, data.ErrFull):
		return Rejected
	case errors.Is(err, record.ErrUnavailable), errors.Is(err, data.ErrUnavailable):
		return Failed
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Canceled
	}
	return Failed
}

// KeyKind names what a key of the storage format, or a prefix of keys, is of, in one word of few; "other" for a key that is none.
func KeyKind(key string) string {
	switch first, rest, _ := strings.Cut(key, "/"); first {
	case "":
		return ""
	case "cfg":
		return "config"
	case "d":
		return SegmentKey
	case "b":
		return "blob"
	case "l":
		return "link"
	case "r":
		return contentKind(rest)
	case "n":
		return "repository"
	case "u":
		return "upload"
	case "h":
		return "hint"
	case "p":
		return "pulled"
	}
	return "other"
}

// contentKind is KeyKind of a key below r/: <h2>/<repository>/<kind>…
func contentKind(rest string) string {
	for range 2 {
		_, rest, _ = strings.Cut(rest, "/")
	}
	kind, _, _ := strings.Cut(rest, "/")
	switch kind {
	case "m":
		return "manifest"
	case "t":
		return "tag"
	case "s":
		return "referrers"
	case "g":
		return "marker"
	case "f":
		return "fence"
	}
	return "content"
}
