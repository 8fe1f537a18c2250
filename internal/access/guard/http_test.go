package guard

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/api"
	"holdfast/internal/registry"
)

// exchange is a request by somebody through the API over a guard, and what it is answered.
func exchange(t *testing.T, r registry.Registry, who, method, target, body string) (int, string) {
	t.Helper()
	request := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		request.Header.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	}
	w := httptest.NewRecorder()
	api.New(r, api.Config{}).ServeHTTP(w, request.WithContext(as(request.Context(), who)))
	answer, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(answer)
}

// What a client is answered, in the order of the rows.
func TestAnswers(t *testing.T) {
	h := newHouse(t)
	l := h.replica()
	g := New(l, team(t))
	h.set(l, "acme/priv", "t", "secret")
	h.set(l, "pub/x", "t", "one")
	for _, name := range []string{"one", "two"} {
		h.blob(l, "acme/app", name)
	}
	one, two, secret := string(imageOf("one")), string(imageOf("two")), digest.FromString(content("secret"))
	for _, row := range []struct {
		who, method, target, body string
		status                    int
		says                      string
	}{
		{"", "GET", "/v2/acme/priv/tags/list", "", 401, `"code":"UNAUTHORIZED"`},
		{"", "GET", "/v2/acme/doesnotexist/tags/list", "", 401, `"code":"UNAUTHORIZED"`},
		{"", "GET", "/v2/pub/x/tags/list", "", 200, `"tags":["t"]`},
		{"", "DELETE", "/v2/pub/x/manifests/t", "", 401, `"code":"UNAUTHORIZED"`},
		{"", "GET", "/v2/_catalog", "", 200, `{"repositories":["pub/x"]}`},
		{"creator", "GET", "/v2/_catalog", "", 200, `{"repositories":["pub/x"]}`},
		{"bob", "GET", "/v2/_catalog?n=1", "", 200, `{"repositories":["acme/priv"]}`},
		{"creator", "GET", "/v2/acme/priv/tags/list", "", 403, `"code":"DENIED"`},
		{"creator", "GET", "/v2/acme/priv/referrers/" + string(secret), "", 403, `"code":"DENIED"`},
		{"creator", "HEAD", "/v2/acme/priv/blobs/" + string(secret), "", 403, ""},
		{"creator", "GET", "/v2/acme/app/blobs/" + string(secret), "", 404, `"code":"BLOB_UNKNOWN"`},                            // A22
		{"creator", "POST", "/v2/acme/app/blobs/uploads/?mount=" + string(secret) + "&from=acme/priv", "", 202, ""},             // A19
		{"creator", "POST", "/v2/acme/app/blobs/uploads/?mount=" + string(secret), "", 202, ""},                                 // A20
		{"creator", "POST", "/v2/acme/priv/blobs/uploads/", "", 403, `"code":"DENIED"`},                                         // A17
		{"creator", "PUT", "/v2/acme/app/manifests/latest", one, 201, ""},                                                       // A40
		{"creator", "PUT", "/v2/acme/app/manifests/latest", one, 201, ""},                                                       // A40
		{"creator", "PUT", "/v2/acme/app/manifests/latest", two, 403, `"code":"DENIED"`},                                        // A40
		{"creator", "PUT", fmt.Sprintf("/v2/acme/app/manifests/%s?tag=new&tag=latest", digestOf("two")), two, 403, `"DENIED"`},  // A41
		{"creator", "GET", "/v2/acme/app/manifests/new", "", 404, `"code":"MANIFEST_UNKNOWN"`},                                  // A41
		{"creator", "PUT", fmt.Sprintf("/v2/acme/app/manifests/%s?tag=new&tag=latest", digestOf("one")), one, 201, ""},          //
		{"careful", "DELETE", "/v2/acme/app/manifests/" + string(digestOf("one")), "", 409, `"code":"MANIFEST_INVALID"`},        //
		{"creator", "DELETE", "/v2/acme/app/manifests/latest", "", 403, `"detail":{"action":"delete","repository":"acme/app"}`}, //
		{"admin", "DELETE", "/v2/acme/app/manifests/latest", "", 202, ""},                                                       //
	} {
		status, answer := exchange(t, g, row.who, row.method, row.target, row.body)
		if status != row.status || !strings.Contains(answer, row.says) {
			t.Errorf("%q %s %s: %d %s, want %d %s", row.who, row.method, row.target, status, answer, row.status, row.says)
		}
	}
}

// A16, A17: an upload is found by whoever began it alone. Whose it is says the context that the uploads are made in.
func TestUploadsBelongToTheirClient(t *testing.T) {
	h := newHouse(t)
	g := New(h.replica(), team(t))
	by := func(who string) context.Context { return as(registry.WithCaller(t.Context(), who), who) }
	up, err := g.StartUpload(by("bob"), "acme/priv", digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if up, err = g.AppendUpload(by("bob"), "acme/priv", up.ID, registry.Chunk{Start: -1, Size: 1, Body: strings.NewReader("x")}); err != nil {
		t.Fatal(err)
	}
	_, err = g.UploadStatus(by("creator"), "acme/app", up.ID)
	h.wantCode("in another repository", "BLOB_UPLOAD_UNKNOWN", err)
	h.wantCode("in the repository itself", "DENIED", g.CancelUpload(by("creator"), "acme/priv", up.ID))
	if got, err := g.UploadStatus(by("bob"), "acme/priv", up.ID); err != nil || got.Offset != 1 {
		t.Errorf("bob's own: %+v, %v", got, err)
	}
}
