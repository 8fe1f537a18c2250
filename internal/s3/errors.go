package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Kind says what is known after a request that failed.
type Kind int

// The kinds. Only after Unavailable and Timeout may a write have happened, or happen yet.
const (
	// Unavailable: the connection broke, or the answer was a 5xx or not S3's.
	Unavailable Kind = iota
	// Timeout: no answer, or no progress, within the deadline.
	Timeout
	// NotSent: no connection, no credentials, or the circuit breaker is open. Nothing was sent.
	NotSent
	// Throttled: the store asked for fewer requests (SlowDown, 429).
	Throttled
	// Denied: wrong credentials, or a permission is missing (401, 403).
	Denied
	// Rejected: any other 4xx, a missing bucket for one.
	Rejected
	// NotFound: the store answered that there is no such key.
	NotFound
	// Precondition: the condition does not hold (412).
	Precondition
	// Conflict: a race with another request (409); the store asks to look again. versitygw says so when the folder of a key
	// vanishes, with another key of it, while the key is written.
	Conflict
	// BadRange: the range starts at or past the object's end (416).
	BadRange
	// NoUpload: there is no such multipart upload.
	NoUpload
)

// Error is a failed request. Every error of a Client's request is an *Error, or a context error of the caller's.
type Error struct {
	Op      string // the S3 operation, PutObject for instance
	Kind    Kind
	Status  int    // HTTP status, 0 without an answer
	Code    string // S3's code, "" without one
	Message string // S3's message, "" without one
	Err     error  // the cause, where it says more
}

// Error says operation, status, code and message, or the cause.
func (e *Error) Error() string {
	switch {
	case e.Code != "" && e.Message != "":
		return fmt.Sprintf("%s: %d %s (%s)", e.Op, e.Status, e.Code, e.Message)
	case e.Code != "":
		return fmt.Sprintf("%s: %d %s", e.Op, e.Status, e.Code)
	case e.Err != nil:
		return fmt.Sprintf("%s: %v", e.Op, e.Err)
	default:
		return fmt.Sprintf("%s: status %d", e.Op, e.Status)
	}
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of an error from a Client, and Unavailable for any other.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Unavailable
}

// Answered reports whether a failed request was answered at all: the store was there a moment ago.
func Answered(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status != 0
}

// IsContext reports whether err is the caller's own context ending, so that it says nothing of the store.
func IsContext(err error) bool {
	var e *Error
	return !errors.As(err, &e) && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded))
}

var (
	errBreakerOpen = errors.New("the store did not answer lately; the next try is within a second")
	errTimeout     = errors.New("no answer in time")
	errShort       = errors.New("the answer ended early")
	errLength      = errors.New("the answer has no length")
)

// answered reports a 5xx that is not the store's wish for fewer requests, or the loss of a race.
func (e *Error) answered() bool {
	return e.Kind == Unavailable && e.Status >= http.StatusInternalServerError || e.Kind == Conflict
}

// retryable reports whether another attempt may help. Only requests that may be repeated are.
func (k Kind) retryable() bool {
	return k == Unavailable || k == Timeout || k == NotSent || k == Throttled || k == Conflict
}

// expired are the codes of credentials that a refresh mends.
func (e *Error) expired() bool {
	switch e.Code {
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired":
		return true
	}
	return false
}

// newError classifies what the SDK returned for op; it is never a context error of the caller's.
func newError(op string, err error) *Error {
	e := &Error{Op: op, Err: err}
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	var re *smithyhttp.ResponseError
	if errors.As(err, &re) && re.Response != nil {
		e.Status = re.HTTPStatusCode()
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		e.Code, e.Message = api.ErrorCode(), api.ErrorMessage()
	}
	if e.Status == 0 && e.Code == "" {
		e.Kind = kindOfTransport(err)
		e.Err = rootCause(err)
		return e
	}
	e.Kind = kindOfAnswer(op, e.Status, e.Code)
	return e
}

func kindOfAnswer(op string, status int, code string) Kind {
	switch code {
	case "SlowDown", "SlowDownRead", "SlowDownWrite", "TooManyRequests", "TooManyRequestsException",
		"Throttling", "ThrottlingException", "RequestLimitExceeded", "RequestThrottled":
		return Throttled
	case "RequestTimeout":
		return Unavailable
	case "NoSuchUpload":
		return NoUpload
	}
	switch {
	case status == http.StatusNotFound:
		return kindOf404(op, code)
	case status == http.StatusPreconditionFailed:
		return Precondition
	case status == http.StatusConflict:
		return Conflict
	case status == http.StatusRequestedRangeNotSatisfiable:
		return BadRange
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return Denied
	case status == http.StatusTooManyRequests:
		return Throttled
	case status == http.StatusRequestTimeout:
		return Unavailable
	case status >= 300 && status < 500, status == http.StatusNotImplemented:
		return Rejected
	default:
		return Unavailable
	}
}

// kindOf404 takes only S3's own word for it that a key is absent: the SDK calls every 404 without an S3
// error in its body NotFound, a proxy's page as well. An answer to HEAD has no body; see Head.
func kindOf404(op, code string) Kind {
	switch {
	case code == "NoSuchKey", code == "NotFound" && op == opHeadObject:
		return NotFound
	case code == "NotFound", code == "":
		return Unavailable
	default:
		return Rejected
	}
}

func kindOfTransport(err error) Kind {
	var (
		op        *net.OpError
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		cert      *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		send      *smithyhttp.RequestSendError
	)
	switch {
	case errors.As(err, &op) && op.Op == "dial",
		errors.As(err, &dns),
		errors.As(err, &authority), errors.As(err, &host), errors.As(err, &cert), errors.As(err, &record),
		!errors.As(err, &send): // no credentials, for one
		return NotSent
	}
	return Unavailable
}

// rootCause leaves out what the SDK says around the transport's error.
func rootCause(err error) error {
	var send *smithyhttp.RequestSendError
	if errors.As(err, &send) {
		return send.Err
	}
	var op *smithy.OperationError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// IsShort reports whether err says that the answer ended before the length that it had announced.
func IsShort(err error) bool { return errors.Is(err, errShort) }
