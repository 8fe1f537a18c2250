package api

import (
	"net/http"
	"net/url"
	"strings"

	"holdfast/internal/observe/request"
	"holdfast/internal/oci"
)

// endpoint is one of the paths of the distribution-spec, "Endpoints".
type endpoint uint8

const (
	endpointNone      endpoint = iota
	endpointBase               // /v2/
	endpointCatalog            // /v2/_catalog
	endpointBlob               // /v2/<name>/blobs/<digest>
	endpointUploads            // /v2/<name>/blobs/uploads/
	endpointUpload             // /v2/<name>/blobs/uploads/<id>
	endpointManifest           // /v2/<name>/manifests/<reference>
	endpointTags               // /v2/<name>/tags/list
	endpointReferrers          // /v2/<name>/referrers/<digest>
)

// route is a path taken apart. Name and Last are unescaped and not checked yet.
type route struct {
	endpoint endpoint
	name     string
	last     string // digest, reference or upload id
}

// routeNames are the endpoints' names in metrics, traces and logs.
var routeNames = [...]string{
	endpointNone: "other", endpointBase: "base", endpointCatalog: "catalog", endpointBlob: "blob", endpointUploads: "uploads",
	endpointUpload: "upload", endpointManifest: "manifest", endpointTags: "tags", endpointReferrers: "referrers",
}

// shownID is how much of an upload's id, which follows uploadsPart, is logged: whoever has all of it can go on with the upload.
const (
	shownID     = 16
	uploadsPart = "/blobs/uploads/"
)

// RouteOf says, to those who watch, what the path of a request means.
func RouteOf(r *http.Request) request.Route {
	path := r.URL.EscapedPath()
	rt := parseRoute(path)
	out := request.Route{Name: routeNames[rt.endpoint], Path: path}
	if rt.endpoint != endpointBase && rt.endpoint != endpointCatalog {
		if repo, err := oci.ParseRepository(rt.name); err == nil {
			out.Repository = string(repo)
		}
	}
	if rt.endpoint == endpointUpload || rt.endpoint == endpointNone { // also a path that is no upload's by a slash too many
		if i := strings.Index(path, uploadsPart); i >= 0 {
			i += len(uploadsPart)
			out.Path = path[:min(len(path), i+shownID)] + "…"
		}
	}
	return out
}

// parseRoute takes an escaped path apart, from the right: a repository name has any number of
// components, and may have components that are called "manifests" or "blobs". Nothing is cleaned: "..",
// empty components and escaped slashes stay what they are, and fail the check of the name.
func parseRoute(escapedPath string) route {
	rest, ok := strings.CutPrefix(escapedPath, "/v2")
	switch {
	case !ok:
		return route{}
	case rest == "" || rest == "/":
		return route{endpoint: endpointBase}
	case rest == "/_catalog":
		return route{endpoint: endpointCatalog}
	case rest[0] != '/':
		return route{}
	}
	rest = rest[1:]
	head, last := cutLast(rest)
	parent, kind := cutLast(head)
	switch {
	case kind == "manifests":
		return named(endpointManifest, parent, last)
	case kind == "referrers":
		return named(endpointReferrers, parent, last)
	case kind == "tags" && last == "list":
		return named(endpointTags, parent, "")
	case kind == "blobs" && last == "uploads":
		return named(endpointUploads, parent, "")
	case kind == "blobs":
		return named(endpointBlob, parent, last)
	case kind == "uploads":
		name, blobs := cutLast(parent)
		switch {
		case blobs != "blobs":
		case last == "":
			return named(endpointUploads, name, "")
		default:
			return named(endpointUpload, name, last)
		}
	}
	return route{name: unescape(rest)}
}

func cutLast(path string) (before, last string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}

func named(e endpoint, name, last string) route {
	return route{endpoint: e, name: unescape(name), last: unescape(last)}
}

// unescape undoes percent-encoding. An escaped slash stays escaped, with a '%' that no name may hold, so
// that it is never taken for a separator.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	s = strings.ReplaceAll(strings.ReplaceAll(s, "%2f", "%252f"), "%2F", "%252F")
	plain, err := url.PathUnescape(s)
	if err != nil {
		return s
	}
	return plain
}

// methods are what an endpoint answers to, for Allow.
func (e endpoint) methods() string {
	switch e {
	case endpointBase, endpointCatalog, endpointTags, endpointReferrers:
		return "GET, HEAD"
	case endpointBlob:
		return "GET, HEAD, DELETE"
	case endpointUploads:
		return "POST"
	case endpointUpload:
		return "GET, HEAD, PATCH, PUT, DELETE"
	case endpointManifest:
		return "GET, HEAD, PUT, DELETE"
	case endpointNone:
	}
	return ""
}

// Paths of the API: the inverse of parseRoute. They are relative to the host, so that any proxy in front
// works. RFC 9110, 10.2.2.

func blobPath(repo oci.Repository, d oci.Digest) string {
	return "/v2/" + string(repo) + "/blobs/" + string(d)
}

func uploadPath(repo oci.Repository, id string) string {
	return "/v2/" + string(repo) + "/blobs/uploads/" + id
}

func manifestPath(repo oci.Repository, ref string) string {
	return "/v2/" + string(repo) + "/manifests/" + ref
}

// isRead reports whether a method only reads.
func isRead(method string) bool { return method == http.MethodGet || method == http.MethodHead }
