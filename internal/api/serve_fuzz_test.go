package api_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"holdfast/internal/api"
	datamem "holdfast/internal/data/mem"
	"holdfast/internal/observe/request"
	recordmem "holdfast/internal/record/mem"
	"holdfast/internal/registry"
)

// FuzzServe: whatever is asked, with whatever headers and body, the answer keeps the contract of all answers;
// and as the stores are there, it is never our fault.
func FuzzServe(f *testing.F) {
	d := layerDigest
	for _, do := range []string{
		"GET /v2/", "GET /", "BREW /v2/", "GET /v2/_catalog?n=1", "GET " + app + "/tags/list?n=1&last=v1", "HEAD " + app + "/manifests/v1", "GET " + app + "/manifests/" + imageD,
		"GET " + app + "/blobs/" + d, "GET " + app + "/referrers/" + imageD + "?artifactType=" + sigType, "POST " + app + "/blobs/uploads/?digest=" + d, "POST " + app + "/blobs/uploads/?mount=" + d + "&from=acme/app",
		"PATCH " + app + "/blobs/uploads/x", "PUT " + app + "/blobs/uploads/x?digest=" + d, "DELETE " + app + "/blobs/uploads/x", "DELETE " + app + "/manifests/v1", "DELETE " + app + "/blobs/" + d,
		"GET /v2/../x", "GET /v2/a%2fb/tags/list",
	} {
		method, target, _ := strings.Cut(do, " ")
		f.Add(method, target, "bytes=0-1", `"x"`, "0-3", "", "abcd")
	}
	f.Add("PUT", app+"/manifests/v3", "", "", "", imageType, image)
	f.Add("PUT", app+"/manifests/"+imageD+"?tag=a&tag=b", "", "", "", imageType, image)
	f.Add("PUT", app+"/manifests/list", "", "", "", indexType, index)
	f.Fuzz(func(t *testing.T, method, target, rng, have, contentRange, contentType, body string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Host != "" || !isToken(method) {
			return // the HTTP server's own business
		}
		ctx := context.Background()
		local, err := registry.New(ctx, recordmem.New(recordmem.Config{}), datamem.New(datamem.Config{}), registry.Config{}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer local.Close()
		seed(t, local)
		r := (&http.Request{
			Method: method, URL: u, RequestURI: target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: "registry",
			Header: http.Header{"Range": {rng}, "If-None-Match": {have}, "Content-Type": {contentType}},
			Body:   io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
		}).WithContext(ctx)
		if contentRange != "" {
			r.Header.Set("Content-Range", contentRange)
		}
		answer := httptest.NewRecorder()
		request.Handler(api.New(local, api.Config{}), request.Config{Route: api.RouteOf}, slog.New(slog.DiscardHandler)).ServeHTTP(answer, r)
		for _, problem := range problems(r, answer, false) {
			if !strings.HasPrefix(problem, "the answer tells") { // what the client said may come back
				t.Errorf("%s %q: %d: %s", method, target, answer.Code, problem)
			}
		}
		if answer.Code >= 500 {
			t.Errorf("%s %q: %d: %s", method, target, answer.Code, answer.Body)
		}
	})
}

// isToken reports whether s can be a method (RFC 9110, 5.6.2).
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", rune(c)) {
			return false
		}
	}
	return s != ""
}
