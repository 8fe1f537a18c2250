package oci

import (
	"errors"
	"fmt"
	"strings"
)

// Code is an error code of the distribution-spec, "Error Codes", or one of the two that a 5xx carries.
type Code string

// The codes of the spec.
const (
	BlobUnknown         Code = "BLOB_UNKNOWN"
	BlobUploadInvalid   Code = "BLOB_UPLOAD_INVALID"
	BlobUploadUnknown   Code = "BLOB_UPLOAD_UNKNOWN"
	DigestInvalid       Code = "DIGEST_INVALID"
	ManifestBlobUnknown Code = "MANIFEST_BLOB_UNKNOWN"
	ManifestInvalid     Code = "MANIFEST_INVALID"
	ManifestUnknown     Code = "MANIFEST_UNKNOWN"
	NameInvalid         Code = "NAME_INVALID"
	NameUnknown         Code = "NAME_UNKNOWN"
	SizeInvalid         Code = "SIZE_INVALID"
	Unauthorized        Code = "UNAUTHORIZED"
	Denied              Code = "DENIED"
	Unsupported         Code = "UNSUPPORTED"
	TooManyRequests     Code = "TOOMANYREQUESTS"
)

// The codes of answers that are our fault, not the client's. The spec's list binds only 4xx.
const (
	Unavailable Code = "UNAVAILABLE" // the store is out of reach, or an object at rest is damaged
	Unknown     Code = "UNKNOWN"     // a bug
)

// Reason tells apart the cases of one code that HTTP answers with different statuses. The zero
// Reason is the ordinary case of the code.
type Reason uint8

// The reasons.
const (
	Ordinary        Reason = iota
	TooLarge               // the body, the blob or a list is over a limit
	TooMany                // too many parameters in the URL
	UnsupportedType        // a media type that the registry does not store
	OutOfOrder             // a chunk that does not begin where the upload ends
	OutOfRange             // a range that begins after the blob's end
	NotAllowed             // a method that the endpoint does not have, or an operation switched off
	InUse                  // something that a manifest still refers to
	Ambiguous              // a manifest to delete by its digest that has several tags
)

// Field is the usual detail of an error: which field of the request, what it held (at most 64 bytes)
// and what was wanted.
type Field struct {
	Field string `json:"field"`
	Got   string `json:"got"`
	Want  string `json:"want,omitempty"`
}

// Error is an error with a code of the spec. Message and Detail are for the client; Err is the cause,
// for us, and never shown.
type Error struct {
	Code    Code
	Reason  Reason
	Message string
	Detail  any
	Err     error
}

// Error returns code, message and cause.
func (e *Error) Error() string {
	s := string(e.Code)
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is an *Error of the same code, so that errors.Is(err, oci.ErrBlobUnknown)
// holds for every error of that code, also one that came over the network.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code
}

// Errors is several errors of one answer, in order; all have the same code.
type Errors []*Error

// Error joins the messages.
func (e Errors) Error() string {
	parts := make([]string, len(e))
	for i, err := range e {
		parts[i] = err.Error()
	}
	return strings.Join(parts, "; ")
}

// Unwrap returns the errors.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i, err := range e {
		out[i] = err
	}
	return out
}

// Sentinels to compare with by errors.Is.
var (
	ErrBlobUnknown         = &Error{Code: BlobUnknown}
	ErrBlobUploadInvalid   = &Error{Code: BlobUploadInvalid}
	ErrBlobUploadUnknown   = &Error{Code: BlobUploadUnknown}
	ErrDigestInvalid       = &Error{Code: DigestInvalid}
	ErrManifestBlobUnknown = &Error{Code: ManifestBlobUnknown}
	ErrManifestInvalid     = &Error{Code: ManifestInvalid}
	ErrManifestUnknown     = &Error{Code: ManifestUnknown}
	ErrNameInvalid         = &Error{Code: NameInvalid}
	ErrNameUnknown         = &Error{Code: NameUnknown}
	ErrSizeInvalid         = &Error{Code: SizeInvalid}
	ErrDenied              = &Error{Code: Denied}
	ErrUnsupported         = &Error{Code: Unsupported}
	ErrUnavailable         = &Error{Code: Unavailable}
)

// Errorf returns an error with a code and a message for the client.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// With returns e with a reason.
func (e *Error) With(reason Reason) *Error {
	e.Reason = reason
	return e
}
