package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"holdfast/internal/oci"
)

// FuzzErrorBody: whatever an error says, of what a client has sent too, its answer is in the spec's form, "Error Codes", and nothing of it is in a header.
func FuzzErrorBody(f *testing.F) {
	f.Add("DENIED", "no", "field", "got", false)
	f.Add("", "\x00\xff\r\nSet-Cookie: a=b", "</script>", "\u2028", true)
	f.Add("UNAVAILABLE", "", "", "", false)
	f.Fuzz(func(t *testing.T, code, message, field, got string, wrapped bool) {
		err := error(&oci.Error{Code: oci.Code(code), Message: message, Detail: oci.Field{Field: field, Got: got}})
		if wrapped {
			err = fmt.Errorf("below: %w", err)
		}
		status, errs := answerFor(t.Context(), err)
		w := httptest.NewRecorder()
		writeError(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/", http.NoBody), status, errs)
		if status < 400 || status > 599 || w.Code != status {
			t.Fatalf("%d, and the answer %d", status, w.Code)
		}
		var body struct {
			Errors []struct {
				Code, Message string
				Detail        any
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || len(body.Errors) != 1 {
			t.Fatalf("%q: %v", w.Body, err)
		}
		if w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Content-Length") != strconv.Itoa(w.Body.Len()) {
			t.Errorf("%v", w.Header())
		}
		for name := range w.Header() {
			switch name {
			case "Content-Type", "Content-Length", "Cache-Control", "Retry-After":
			default:
				t.Errorf("the header %s", name)
			}
		}
	})
}
