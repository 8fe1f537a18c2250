package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"holdfast/internal/data"
	"holdfast/internal/observe/request"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	"holdfast/internal/registry"
)

// statuses is the answer contract: what a code means in HTTP, unless a reason below says otherwise.
var statuses = map[oci.Code]int{
	oci.BlobUnknown:         http.StatusNotFound,
	oci.BlobUploadInvalid:   http.StatusBadRequest,
	oci.BlobUploadUnknown:   http.StatusNotFound,
	oci.DigestInvalid:       http.StatusBadRequest,
	oci.ManifestBlobUnknown: http.StatusNotFound,
	oci.ManifestInvalid:     http.StatusBadRequest,
	oci.ManifestUnknown:     http.StatusNotFound,
	oci.NameInvalid:         http.StatusBadRequest,
	oci.NameUnknown:         http.StatusNotFound,
	oci.SizeInvalid:         http.StatusBadRequest,
	oci.Unauthorized:        http.StatusUnauthorized,
	oci.Denied:              http.StatusForbidden,
	oci.Unsupported:         http.StatusBadRequest,
	oci.TooManyRequests:     http.StatusTooManyRequests,
	oci.Unavailable:         http.StatusServiceUnavailable,
	oci.Unknown:             http.StatusInternalServerError,
}

var reasonStatuses = map[oci.Reason]int{
	oci.TooLarge:        http.StatusRequestEntityTooLarge,
	oci.TooMany:         http.StatusRequestURITooLong,
	oci.UnsupportedType: http.StatusUnsupportedMediaType,
	oci.OutOfOrder:      http.StatusRequestedRangeNotSatisfiable,
	oci.OutOfRange:      http.StatusRequestedRangeNotSatisfiable,
	oci.NotAllowed:      http.StatusMethodNotAllowed,
	oci.InUse:           http.StatusMethodNotAllowed,
	oci.Ambiguous:       http.StatusConflict,
}

func statusOf(e *oci.Error) int {
	if status, ok := reasonStatuses[e.Reason]; ok {
		return status
	}
	if status, ok := statuses[e.Code]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// statusClientGone is that of a client that hung up; nobody gets it.
const statusClientGone = request.StatusClientGone

// retryAfterSeconds is what a 503 and a 429 ask for.
const retryAfterSeconds = 2

// answerFor turns an error into what the client may know of it.
func answerFor(ctx context.Context, err error) (int, []*oci.Error) {
	var several oci.Errors
	if errors.As(err, &several) && len(several) > 0 {
		return statusOf(several[0]), several
	}
	var body *registry.BodyError
	if errors.As(err, &body) {
		return bodyAnswer(body)
	}
	var one *oci.Error
	if errors.As(err, &one) {
		return statusOf(one), []*oci.Error{one}
	}
	switch {
	case errors.Is(context.Cause(ctx), context.Canceled):
		return statusClientGone, nil
	case errors.Is(err, record.ErrUnavailable), errors.Is(err, data.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable, []*oci.Error{oci.Errorf(oci.Unavailable, "the registry's store is out of reach: try again")}
	}
	return http.StatusInternalServerError, []*oci.Error{oci.Errorf(oci.Unknown, "an error on our side; the operator finds it by the request's id")}
}

// WriteUnavailable answers a request of a server whose store has not answered yet.
func WriteUnavailable(w http.ResponseWriter, r *http.Request) {
	setCommonHeaders(w.Header())
	writeError(w, r, http.StatusServiceUnavailable, []*oci.Error{oci.Errorf(oci.Unavailable, "the registry is starting: its store has not answered yet")})
}

// WriteError answers a request to an endpoint beside the spec's with an error in the spec's form, "Error Codes".
func WriteError(w http.ResponseWriter, r *http.Request, status int, e *oci.Error) {
	setCommonHeaders(w.Header())
	writeError(w, r, status, []*oci.Error{e})
}

type errorBody struct {
	Errors []errorEntry `json:"errors"`
}

type errorEntry struct {
	Code    oci.Code `json:"code"`
	Message string   `json:"message"`
	Detail  any      `json:"detail,omitempty"`
}

// writeError answers with an error, in the form of the spec, "Error Codes". Errors of ours are logged by
// the caller with their cause, which the client never sees.
func writeError(w http.ResponseWriter, r *http.Request, status int, errs []*oci.Error) {
	h := w.Header()
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		if h.Get("Retry-After") == "" {
			h.Set("Retry-After", strconv.Itoa(retryAfterSeconds))
		}
	}
	body := errorBody{Errors: make([]errorEntry, 0, len(errs))}
	for _, e := range errs {
		body.Errors = append(body.Errors, errorEntry{Code: e.Code, Message: e.Message, Detail: e.Detail})
	}
	for _, of := range []string{"Etag", "Docker-Content-Digest", "Content-Disposition", "Accept-Ranges"} {
		h.Del(of) // of the content that is not sent
	}
	h.Set("Cache-Control", "no-store")
	writeJSON(w, r, status, "application/json", body)
}

func writeJSON(w http.ResponseWriter, r *http.Request, status int, contentType string, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		text = []byte(`{"errors":[{"code":"UNKNOWN","message":"an answer could not be written"}]}`)
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(text) // a client that is gone shows in the log by its context
	}
}
