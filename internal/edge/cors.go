package edge

import (
	"net/http"
	"slices"
)

// What pages of an allowed origin may send, and may see.
const (
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
	corsHeaders = "Accept, Authorization, Content-Range, Content-Type, Range, X-ZOT-API-CLIENT"
	corsExposed = "Accept-Ranges, Content-Range, Docker-Content-Digest, Docker-Distribution-Api-Version, Docker-Upload-UUID, Etag, Link, Location, OCI-Chunk-Min-Length, " +
		"OCI-Filters-Applied, OCI-Subject, OCI-Tag, Range, Retry-After, Www-Authenticate, X-Request-Id"
	corsMaxAge = "600" // seconds
)

// Origins are those whose pages may ask, as https://ui.example.com; "*" is every one, without credentials. None: no page may.
type Origins []string

// Allow sets the headers of an answer to a page of an allowed origin, and reports whether the request is a preflight of one, for which there is nothing more to answer: it has no
// credentials, whatever the request will have that it asks for. Others get no header.
func (o Origins) Allow(h http.Header, r *http.Request) (preflight bool) {
	if len(o) == 0 {
		return false
	}
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	switch {
	case origin == "":
		return false
	case slices.Contains(o, origin):
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	case slices.Contains(o, "*"):
		h.Set("Access-Control-Allow-Origin", "*")
	default:
		return false
	}
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		h.Set("Access-Control-Expose-Headers", corsExposed)
		return false
	}
	h.Set("Access-Control-Allow-Methods", corsMethods)
	h.Set("Access-Control-Allow-Headers", corsHeaders)
	h.Set("Access-Control-Max-Age", corsMaxAge)
	return true
}
