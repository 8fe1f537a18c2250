package api

import "net/http"

// Headers that many answers have alike. The slices are shared by all answers and full, so that who adds a value gets another slice; nobody changes a value in place.
var (
	versionHeader   = []string{"registry/2.0"}
	nosniffHeader   = []string{"nosniff"}
	policyHeader    = []string{"default-src 'none'; frame-ancestors 'none'; sandbox"}
	noCacheHeader   = []string{"private, no-cache"}
	immutableHeader = []string{"private, max-age=31536000, immutable"}
	bytesHeader     = []string{"bytes"}
	streamHeader    = []string{"application/octet-stream"}
	attachedHeader  = []string{"attachment"}
)

// headerValues are values of one answer's headers, which share one array.
type headerValues [4]string

// set is Header.Set of a key in its canonical form, with the i-th value.
func (v *headerValues) set(h http.Header, i int, key, value string) {
	v[i] = value
	h[key] = v[i : i+1 : i+1]
}
