package api_test

import (
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"holdfast/internal/oci"
)

func TestManifests(t *testing.T) {
	put := "PUT " + app + "/manifests/"
	typed := []string{"Content-Type: " + imageType}
	fresh := imageText(`"layers":[]`) // not pushed yet
	freshD := digestOf(fresh)
	lacking := imageText(`"layers":[` + descriptor("text/plain", "one") + `,` + descriptor("text/plain", "two") + `]`)
	tags := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "&tag=t%d", i)
		}
		return "?" + b.String()[1:]
	}
	run(t, options{}, []exchange{
		{name: "end-3 by tag", do: "GET " + app + "/manifests/v1", status: 200, text: &image, heads: []string{"Content-Type: " + imageType, "Docker-Content-Digest: " + imageD, `Etag: "` + imageD + `"`, "Cache-Control: private, no-cache"}},
		{name: "end-3 by digest", do: "GET " + app + "/manifests/" + imageD, status: 200, text: &image, heads: []string{"Cache-Control: private, max-age=31536000, immutable"}},
		{name: "HEAD tells type, size and digest", do: "HEAD " + app + "/manifests/v1", status: 200, text: exactly(""), heads: []string{"Content-Type: " + imageType, "Docker-Content-Digest: " + imageD, fmt.Sprintf("Content-Length: %d", len(image))}},
		{name: "what the client has is 304", do: "GET " + app + "/manifests/v1", header: []string{`If-None-Match: "` + imageD + `"`}, status: 304, text: exactly(""), heads: []string{"Docker-Content-Digest: " + imageD}},
		{name: "an unknown tag", do: "GET " + app + "/manifests/v9", status: 404, code: "MANIFEST_UNKNOWN", says: "v9"},
		{name: "an unknown digest", do: "GET " + app + "/manifests/" + unknown, status: 404, code: "MANIFEST_UNKNOWN"},
		{name: "an unknown repository", do: "GET " + nothing + "/manifests/v1", status: 404, code: "MANIFEST_UNKNOWN"},
		{name: "HEAD of an unknown tag", do: "HEAD " + app + "/manifests/v9", status: 404},
		{name: "what cannot be a tag is unknown", do: "GET " + app + "/manifests/.x", status: 404, code: "MANIFEST_UNKNOWN"},
		{name: "an escaped slash in a tag is unknown", do: "GET " + app + "/manifests/a%2fb", status: 404, code: "MANIFEST_UNKNOWN"},
		{name: "no digest", do: "GET " + app + "/manifests/sha256:zz", status: 400, code: "DIGEST_INVALID"},
		{name: "a layer's digest", do: "GET " + app + "/manifests/" + layerDigest, status: 404, code: "MANIFEST_UNKNOWN"},
		{name: "POST is 405", do: "POST " + app + "/manifests/v1", status: 405, code: "UNSUPPORTED", heads: []string{"Allow: GET, HEAD, PUT, DELETE"}},

		{name: "end-7a pushes to a tag", do: put + "new", header: typed, body: fresh, status: 201, text: exactly(""), heads: []string{"Location: " + app + "/manifests/new", "Docker-Content-Digest: " + freshD, "!Oci-Tag", "!Oci-Subject"}},
		{name: "end-7a then end-3", given: []exchange{{do: put + "new", header: typed, body: fresh}}, do: "GET " + app + "/manifests/new", status: 200, text: &fresh},
		{name: "end-7a without a type", do: put + "new", body: fresh, status: 201},
		{name: "end-7a without a length", do: put + "new", header: typed, body: fresh, chunked: true, status: 201, heads: []string{"Connection: close"}},
		{name: "end-7a of an index", do: put + "list", header: []string{"Content-Type: " + indexType + "; charset=utf-8"}, body: index, status: 201},
		{name: "end-7a with a subject", do: put + "sig", body: signature, status: 201, heads: []string{"Oci-Subject: " + imageD}},
		{name: "end-7b pushes by digest", do: put + freshD, body: fresh, status: 201, heads: []string{"Location: " + app + "/manifests/" + freshD, "!Oci-Tag"}},
		{name: "end-7b with tags, one of them twice", do: put + freshD + "?tag=a&tag=b&tag=a", body: fresh, status: 201, heads: []string{"Oci-Tag: a, b"}},
		{name: "end-7b with as many tags as can be", do: put + freshD + tags(46), body: fresh, status: 201},
		{name: "end-7b with too many tags", do: put + freshD + tags(47), body: fresh, status: 414, code: "MANIFEST_INVALID", says: "46"},
		{name: "end-7b with too many parameters", do: put + freshD + tags(65), body: fresh, status: 400, code: "UNSUPPORTED", says: "64"},
		{name: "end-7b with a wrong tag", do: put + freshD + "?tag=a&tag=.b", body: fresh, status: 400, code: "MANIFEST_INVALID", says: "tag 2 of 2"},
		{name: "a wrong tag leaves the right one unset", given: []exchange{{do: put + freshD + "?tag=a&tag=.b", body: fresh, status: 400}}, do: "GET " + app + "/manifests/a", status: 404, code: "MANIFEST_UNKNOWN"},
		{name: "tags beside a tag", do: put + "new?tag=a", body: fresh, status: 400, code: "UNSUPPORTED", says: "digest only"},
		{name: "end-7b by another digest", do: put + unknown, body: fresh, status: 400, code: "DIGEST_INVALID"},
		{name: "end-7a to no tag", do: put + ".x", body: fresh, status: 400, code: "MANIFEST_INVALID", says: "[a-zA-Z0-9_]"},
		{name: "end-7a to no digest", do: put + "sha256:zz", body: fresh, status: 400, code: "DIGEST_INVALID"},
		{name: "end-7a of no JSON", do: put + "new", header: typed, body: "{", status: 400, code: "MANIFEST_INVALID", says: "byte"},
		{name: "end-7a of nothing", do: put + "new", header: typed, status: 400, code: "MANIFEST_INVALID"},
		{name: "end-7a of another type", do: put + "new", header: []string{"Content-Type: text/html"}, body: fresh, status: 415, code: "MANIFEST_INVALID", says: indexType},
		{name: "end-7a of an image said to be an index", do: put + "new", header: []string{"Content-Type: " + indexType}, body: fresh, status: 400, code: "MANIFEST_INVALID"},
		{name: "a negative size", do: put + "new", body: imageText(`"layers":[{"mediaType":"a/b","digest":"` + unknown + `","size":-1}]`), status: 400, code: "SIZE_INVALID", says: "layers[0]"},
		{name: "another size than the blob's", do: put + "new", body: strings.Replace(image, `"size":38`, `"size":39`, 1), status: 400, code: "SIZE_INVALID", says: "layers[0]"},
		{name: "unknown layers are all named", do: put + "new", body: lacking, status: 404, code: "MANIFEST_BLOB_UNKNOWN", says: digestOf("two")},
		{name: "a query that is none", do: put + "new?%zz", body: fresh, status: 400, code: "UNSUPPORTED"},
		{name: "a length over the limit", do: put + "new", header: typed, body: strings.Repeat(" ", oci.MaxManifestBytes+1), status: 413, code: "MANIFEST_INVALID", says: "4194304", heads: []string{"Connection: close"}},

		{name: "end-9 removes a tag", do: "DELETE " + app + "/manifests/v1", status: 202, text: exactly("")},
		{name: "end-9 of a tag leaves the others", given: []exchange{{do: "DELETE " + app + "/manifests/v1"}}, do: "GET " + app + "/manifests/v2", status: 200},
		{name: "end-9 removes a manifest", do: "DELETE " + app + "/manifests/" + imageD, status: 202},
		{name: "end-9 of a manifest takes its tags", given: []exchange{{do: "DELETE " + app + "/manifests/" + imageD}}, do: "GET " + app + "/manifests/v2", status: 404, code: "MANIFEST_UNKNOWN"},
		{name: "end-9 of an unknown tag", do: "DELETE " + app + "/manifests/v9", status: 404, code: "MANIFEST_UNKNOWN"},
		{name: "end-9 of an unknown digest", do: "DELETE " + app + "/manifests/" + unknown, status: 404, code: "MANIFEST_UNKNOWN"},
		{name: "end-9 of no tag", do: "DELETE " + app + "/manifests/.x", status: 404, code: "MANIFEST_UNKNOWN"},
		{name: "end-9 of no digest", do: "DELETE " + app + "/manifests/sha256:zz", status: 400, code: "DIGEST_INVALID"},
	})
}

func TestUnknownLayersAreAnErrorEach(t *testing.T) {
	s := open(t, options{})
	a := s.exchange(exchange{do: "PUT " + app + "/manifests/x", status: 404, code: "MANIFEST_BLOB_UNKNOWN",
		body: imageText(`"layers":[` + descriptor("text/plain", "one") + `,` + descriptor("text/plain", "two") + `]`)})
	if n := len(errorsOf(a.Body.Bytes())); n != 2 {
		t.Errorf("%d errors, want 2: %s", n, a.Body)
	}
}

// endless is a body that never ends, and counts what was read of it.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read += len(p)
	return len(p), nil
}

// A01: a body without a length is read up to the limit and a byte.
func TestManifestThatNeverEnds(t *testing.T) {
	s := open(t, options{})
	body := &endless{}
	// Waiting for leave to send, so that nothing is read after the answer.
	r := httptest.NewRequestWithContext(t.Context(), "PUT", app+"/manifests/x", io.NopCloser(body))
	r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
	r.Header.Set("Expect", "100-continue")
	a := s.answer(r)
	if a.Code != 413 || body.read > oci.MaxManifestBytes+1 || a.Header().Get("Connection") != "close" {
		t.Errorf("%d after %d bytes, Connection %q; want 413 after %d, close", a.Code, body.read, a.Header().Get("Connection"), oci.MaxManifestBytes+1)
	}
}
