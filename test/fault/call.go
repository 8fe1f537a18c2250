package fault

import (
	"net/http"
	"strings"
)

// The classes of keys, by what Holdfast keeps below them.
const (
	Data    = "data"    // d/: the bytes of blobs
	Record  = "record"  // b/ l/ r/ n/ u/: everything that a request may change
	Cluster = "cluster" // cfg/: format, secret, self-test, heartbeats
	Other   = "other"   // the bucket itself
)

// Call is one request to the store.
type Call struct {
	Op     string // S3's name: GetObject, UploadPart, ListObjectsV2 ...
	Class  string // of the key, or of a list's prefix: Data, Record, Cluster or Other
	Method string
	Path   string // escaped, as it was sent
}

// Write reports whether the call changes something.
func (c Call) Write() bool { return c.Method != http.MethodGet && c.Method != http.MethodHead }

func callOf(r *http.Request) Call {
	path, query := r.URL.EscapedPath(), r.URL.Query()
	_, key, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	c := Call{Op: operation(r, key), Method: r.Method, Path: path}
	if key == "" {
		key = query.Get("prefix")
	}
	c.Class = class(key)
	return c
}

// class finds Holdfast's part of a key: what follows the root directory.
func class(key string) string {
	_, own, ok := strings.Cut("/"+key, "/holdfast/")
	if !ok {
		return Other
	}
	switch first, _, _ := strings.Cut(own, "/"); first {
	case "d":
		return Data
	case "cfg":
		return Cluster
	case "":
		return Other
	default:
		return Record
	}
}

// operation is S3's name for a request; the ones that Holdfast does not make are
// called by their method.
func operation(r *http.Request, key string) string {
	query := r.URL.Query()
	switch {
	case key == "" && r.Method == http.MethodGet && query.Has("uploads"):
		return "ListMultipartUploads"
	case key == "" && r.Method == http.MethodGet && query.Get("list-type") == "2":
		return "ListObjectsV2"
	case key == "" && r.Method == http.MethodHead:
		return "HeadBucket"
	case key == "" && r.Method == http.MethodPost && query.Has("delete"):
		return "DeleteObjects"
	case key == "":
		return r.Method
	}
	upload := query.Has("uploadId")
	switch r.Method {
	case http.MethodGet:
		if upload {
			return "ListParts"
		}
		return "GetObject"
	case http.MethodHead:
		return "HeadObject"
	case http.MethodPut:
		if upload {
			return "UploadPart"
		}
		if r.Header.Get("X-Amz-Copy-Source") != "" {
			return "CopyObject"
		}
		return "PutObject"
	case http.MethodDelete:
		if upload {
			return "AbortMultipartUpload"
		}
		return "DeleteObject"
	case http.MethodPost:
		if upload {
			return "CompleteMultipartUpload"
		}
		if query.Has("uploads") {
			return "CreateMultipartUpload"
		}
	}
	return r.Method
}
