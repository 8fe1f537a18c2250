package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"holdfast/internal/api"
)

// TestUploadIDsAreNotShown: of an upload's id the log has the beginning, also where a client, or a proxy, made something else of the path.
func TestUploadIDsAreNotShown(t *testing.T) {
	const id = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
	for _, path := range []string{
		"/v2/a/b/blobs/uploads/" + id, "/v2/a/b/blobs/uploads/" + id + "/", "/v2/a/blobs/uploads//" + id, "/v2/A/blobs/uploads/" + id,
		"/registry/v2/a/blobs/uploads/" + id, "/v2/a/blobs/uploads/%41" + id[1:],
	} {
		got := api.RouteOf(httptest.NewRequestWithContext(t.Context(), http.MethodPatch, path, http.NoBody)).Path
		if strings.Contains(got, id[len(id)-16:]) || !strings.Contains(got, "/blobs/uploads/") || !strings.HasSuffix(got, "…") {
			t.Errorf("of %s it shows %s", path, got)
		}
	}
	const other = "/v2/a/blobs/uploads/b/manifests/v1"
	if got := api.RouteOf(httptest.NewRequestWithContext(t.Context(), http.MethodGet, other, http.NoBody)).Path; got != other {
		t.Errorf("of %s it shows %s", other, got)
	}
}
