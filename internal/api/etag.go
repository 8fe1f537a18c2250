package api

import (
	"net/http"
	"strings"

	"holdfast/internal/oci"
)

// etag is the entity tag of what a digest names: the digest.
func etag(d oci.Digest) string { return `"` + string(d) + `"` }

// matches reports whether the lines of an If-None-Match header name the digest (RFC 9110, 13.1.2; weak comparison).
func matches(lines []string, d oci.Digest) bool {
	if len(lines) == 0 {
		return false
	}
	want := etag(d)
	for tag := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == want || tag == "*" || tag == string(d) {
			return true
		}
	}
	return false
}

// ifRange reports whether a Range header counts: without an If-Range, or with the digest's own tag.
func ifRange(r *http.Request, d oci.Digest) bool {
	header := r.Header.Get("If-Range")
	return header == "" || header == etag(d)
}
