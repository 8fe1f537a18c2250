// Package answer writes what the endpoints of authentication answer: JSON that nobody may keep, and errors in the form of the distribution-spec.
package answer

import (
	"encoding/json"
	"net/http"
	"strconv"

	"holdfast/internal/oci"
)

// RetryAfter is what a 503 asks for.
const RetryAfter = 2

// JSON answers with a value. It may hold a secret: no cache keeps it.
func JSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		Error(w, http.StatusInternalServerError, oci.Unknown, "an error on our side")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}

// Error answers with an error. What it says is for clients.
func Error(w http.ResponseWriter, status int, code oci.Code, message string) {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(RetryAfter))
	}
	type one struct {
		Code    oci.Code `json:"code"`
		Message string   `json:"message"`
	}
	JSON(w, status, map[string][]one{"errors": {{code, message}}})
}
