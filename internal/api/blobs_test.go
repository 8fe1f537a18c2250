package api_test

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"holdfast/internal/api"
	"holdfast/internal/data"
	"holdfast/internal/observe/request"
	"holdfast/internal/registry"
)

// download are the headers that keep a browser from running what was pushed (A54).
var download = []string{
	"Content-Type: application/octet-stream", "Content-Disposition: attachment", "X-Content-Type-Options: nosniff",
	"Content-Security-Policy: default-src 'none'; frame-ancestors 'none'; sandbox",
}

func TestBase(t *testing.T) {
	run(t, options{}, []exchange{
		{name: "end-1 says that this is a registry", do: "GET /v2/", status: 200, text: exactly("{}"), heads: []string{"Content-Type: application/json"}},
		{name: "end-1 without the slash", do: "GET /v2", status: 200, text: exactly("{}")},
		{name: "HEAD has no body", do: "HEAD /v2/", status: 200, text: exactly("")},
		{name: "other methods are 405", do: "POST /v2/", status: 405, code: "UNSUPPORTED", heads: []string{"Allow: GET, HEAD"}},
		{name: "another path is 404", do: "GET /", status: 404, code: "NAME_UNKNOWN"},
		{name: "another version is 404", do: "GET /v3/", status: 404, code: "NAME_UNKNOWN"},
		{name: "a word that begins like the version is 404", do: "GET /v2x/acme/app/tags/list", status: 404, code: "NAME_UNKNOWN"},
		{name: "a repository without an endpoint is 404", do: "GET " + app, status: 404, code: "NAME_UNKNOWN", heads: []string{"!Allow"}},
		{name: "a way up is no redirect", do: "GET /v2/../../etc/passwd", status: 400, code: "NAME_INVALID", heads: []string{"!Location"}},
		{name: "a name in capitals", do: "GET /v2/ACME/tags/list", status: 400, code: "NAME_INVALID", says: "lower case"},
		{name: "an escaped slash in a name", do: "GET /v2/acme%2fapp/tags/list", status: 400, code: "NAME_INVALID", says: "0x25"},
		{name: "an escaped zero byte in a name", do: "GET /v2/acme%00/tags/list", status: 400, code: "NAME_INVALID", says: "0x00"},
		{name: "a name that is too long", do: "GET /v2/" + strings.Repeat("a", 256) + "/tags/list", status: 400, code: "NAME_INVALID", says: "255"},
		{name: "a harmless request id comes back", do: "GET /v2/", header: []string{"X-Request-Id: a-B_1.2:3"}, status: 200, heads: []string{"X-Request-Id: a-B_1.2:3"}},
	})
}

func TestRequestIDIsOurOwnWhereTheClientsIsNotHarmless(t *testing.T) {
	for _, id := range []string{"a b", "a\tb", `"`, strings.Repeat("a", 65), "é"} {
		s := open(t, options{})
		a := s.exchange(exchange{do: "GET /v2/", header: []string{"X-Request-Id: " + id}})
		if got := a.Header().Get("X-Request-Id"); got == id || len(got) != 24 {
			t.Errorf("%q came back as %q", id, got)
		}
	}
}

func TestBlobs(t *testing.T) {
	get := "GET " + app + "/blobs/" + layerDigest
	ranged := func(name, header string, status int, text string, heads ...string) exchange {
		x := exchange{name: "range: " + name, do: "GET " + loose + "/blobs/" + looseDigest, header: []string{"Range: " + header}, status: status, heads: heads}
		if status == 416 {
			x.code, x.says = "UNSUPPORTED", "10 bytes"
			x.heads = append(x.heads, "Content-Range: bytes */10", "!Etag", "!Accept-Ranges", "!Docker-Content-Digest", "!Content-Disposition", "Cache-Control: no-store")
		} else {
			x.text = &text
		}
		return x
	}
	run(t, options{}, []exchange{
		{name: "end-2 gives the bytes, for download only", do: get, status: 200, text: exactly(layerText),
			heads: append(download, "Docker-Content-Digest: "+layerDigest, "Content-Length: 38", "Accept-Ranges: bytes", `Etag: "`+layerDigest+`"`, "Cache-Control: private, max-age=31536000, immutable")},
		{name: "whatever the client accepts", do: get, header: []string{"Accept: text/html"}, status: 200, heads: download},
		{name: "HEAD tells the size", do: "HEAD " + app + "/blobs/" + layerDigest, status: 200, text: exactly(""), heads: append(download, "Content-Length: 38", "Docker-Content-Digest: "+layerDigest)},
		{name: "HEAD of an unknown blob", do: "HEAD " + app + "/blobs/" + unknown, status: 404},
		{name: "GET of an unknown blob", do: "GET " + app + "/blobs/" + unknown, status: 404, code: "BLOB_UNKNOWN", says: unknown},
		{name: "a blob of another repository", do: "GET " + loose + "/blobs/" + layerDigest, status: 404, code: "BLOB_UNKNOWN"},
		{name: "GET by no digest", do: "GET " + app + "/blobs/sha256:zz", status: 400, code: "DIGEST_INVALID", says: "64"},
		{name: "HEAD by no digest", do: "HEAD " + app + "/blobs/md5:d41d8cd98f00b204e9800998ecf8427e", status: 400},
		{name: "a way up instead of a digest", do: "GET " + app + "/blobs/sha256:..%2f..%2fetc%2fpasswd", status: 400, code: "DIGEST_INVALID"},
		{name: "PUT is 405", do: "PUT " + app + "/blobs/" + layerDigest, status: 405, code: "UNSUPPORTED", heads: []string{"Allow: GET, HEAD, DELETE"}},

		{name: "what the client has is 304", do: get, header: []string{`If-None-Match: "` + layerDigest + `"`}, status: 304, text: exactly("")},
		{name: "HEAD of what the client has is 304", do: "HEAD " + app + "/blobs/" + layerDigest, header: []string{`If-None-Match: W/"` + layerDigest + `"`}, status: 304},
		{name: "what the client has among others is 304", do: get, header: []string{`If-None-Match: "x", "` + layerDigest + `"`}, status: 304},
		{name: "what the client does not have is sent", do: get, header: []string{`If-None-Match: "` + looseDigest + `"`}, status: 200, text: exactly(layerText)},

		ranged("the first bytes", "bytes=0-3", 206, "0123", "Content-Range: bytes 0-3/10", "Content-Length: 4"),
		ranged("from a byte to the end", "bytes=7-", 206, "789", "Content-Range: bytes 7-9/10"),
		ranged("the last bytes", "bytes=-2", 206, "89", "Content-Range: bytes 8-9/10"),
		ranged("more last bytes than there are", "bytes=-99999999999999999999", 206, looseText, "Content-Range: bytes 0-9/10"),
		ranged("to beyond the end", "bytes=5-99999999999999999999", 206, "56789", "Content-Range: bytes 5-9/10"),
		ranged("the unit in capitals", "Bytes=9-9", 206, "9"),
		ranged("from the end", "bytes=10-", 416, ""),
		ranged("from far beyond the end", "bytes=99999999999999999999-", 416, ""),
		ranged("backward", "bytes=5-2", 416, ""),
		ranged("the last no bytes", "bytes=-0", 416, ""),
		ranged("several are ignored", "bytes=0-1,4-5", 200, looseText, "!Content-Range"),
		ranged("a thousand are ignored", "bytes=0-"+strings.Repeat(",0-", 1000), 200, looseText),
		ranged("another unit is ignored", "lines=0-1", 200, looseText),
		ranged("garbage is ignored", "bytes=a-b", 200, looseText),
		ranged("a dash alone is ignored", "bytes=-", 200, looseText),
		ranged("no dash is ignored", "bytes=5", 200, looseText),
		{name: "If-Range of this blob counts", do: "GET " + loose + "/blobs/" + looseDigest, header: []string{"Range: bytes=0-1", `If-Range: "` + looseDigest + `"`}, status: 206, text: exactly("01")},
		{name: "If-Range of something else does not", do: "GET " + loose + "/blobs/" + looseDigest, header: []string{"Range: bytes=0-1", `If-Range: "x"`}, status: 200, text: exactly(looseText)},

		{name: "end-10 deletes what nothing refers to", do: "DELETE " + loose + "/blobs/" + looseDigest, status: 202, text: exactly(""), heads: []string{"Docker-Content-Digest: " + looseDigest}},
		{name: "what was deleted is gone", given: []exchange{{do: "DELETE " + loose + "/blobs/" + looseDigest}}, do: "GET " + loose + "/blobs/" + looseDigest, status: 404, code: "BLOB_UNKNOWN"},
		{name: "a layer of an image is not deleted", do: "DELETE " + app + "/blobs/" + layerDigest, status: 405, code: "DENIED", says: imageD},
		{name: "an unknown blob is not deleted", do: "DELETE " + app + "/blobs/" + unknown, status: 404, code: "BLOB_UNKNOWN"},
		{name: "no digest is not deleted", do: "DELETE " + app + "/blobs/x", status: 400, code: "DIGEST_INVALID"},
	})
}

func TestDeletingSwitchedOff(t *testing.T) {
	u := []exchange{{do: "POST " + app + "/blobs/uploads/"}}
	run(t, options{config: api.Config{NoDelete: true}}, []exchange{
		{name: "a tag", do: "DELETE " + app + "/manifests/v1", status: 405, code: "UNSUPPORTED", says: "switched off"},
		{name: "a manifest", do: "DELETE " + app + "/manifests/" + imageD, status: 405, code: "UNSUPPORTED", says: "switched off"},
		{name: "a blob", do: "DELETE " + loose + "/blobs/" + looseDigest, status: 405, code: "UNSUPPORTED", says: "switched off"},
		{name: "an upload is cancelled all the same", given: u, do: "DELETE {location}", status: 204},
	})
}

// signing is a data store that gives URLs.
type signing struct {
	data.Store
	ttl time.Duration
}

func (s *signing) PresignedURL(_ context.Context, _ data.ID, ttl time.Duration) (string, error) {
	s.ttl = ttl
	return "https://store.example/signed", nil
}

func TestRedirects(t *testing.T) {
	store := &signing{}
	o := options{registry: registry.Config{Redirects: func(context.Context, int64) bool { return true }}, segments: func(s data.Store) data.Store { store.Store = s; return store }}
	run(t, o, []exchange{
		{name: "a whole blob is read from its URL", do: "GET " + app + "/blobs/" + layerDigest, status: 307, heads: []string{"Location: https://store.example/signed", "Cache-Control: no-store"}},
		{name: "a range is not", do: "GET " + app + "/blobs/" + layerDigest, header: []string{"Range: bytes=0-5"}, status: 206, heads: []string{"!Location"}, text: exactly("<html>")},
		{name: "HEAD is not", do: "HEAD " + app + "/blobs/" + layerDigest, status: 200, heads: []string{"!Location"}},
		{name: "an unknown blob is not", do: "GET " + app + "/blobs/" + unknown, status: 404, code: "BLOB_UNKNOWN", heads: []string{"!Location"}},
	})
	if store.ttl != 20*time.Minute {
		t.Errorf("the URL is good for %s, want the 20 minutes of the default", store.ttl)
	}
}

func TestStarting(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		s := &site{T: t, handler: request.Handler(http.HandlerFunc(api.WriteUnavailable), request.Config{Route: api.RouteOf}, slog.New(slog.DiscardHandler))}
		s.exchange(exchange{do: method + " " + app + "/manifests/v1", status: 503, code: "UNAVAILABLE", says: "starting", heads: []string{"Retry-After:"}})
	}
}
