package api_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"holdfast/internal/api"
	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// closedGate refuses every push before its bytes are there.
type closedGate struct{ registry.Registry }

func (closedGate) MayPush(context.Context, oci.Repository, registry.Push) error {
	return oci.Errorf(oci.Denied, "not yours")
}

// untouched is a body that must not be read.
type untouched struct{ *testing.T }

func (u untouched) Read([]byte) (int, error) {
	u.Error("the body is read of a push that is refused anyway")
	return 0, io.EOF
}

// A client that waits for leave to send a manifest which it may not push gets none.
func TestRefusedPushIsNotRead(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/v2/acme/app/manifests/v1", untouched{t})
	r.ContentLength = 1000
	r.Header.Set("Expect", "100-continue")
	w := httptest.NewRecorder()
	api.New(closedGate{}, api.Config{}).ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("%d %s, want 403", w.Code, w.Body)
	}
}
