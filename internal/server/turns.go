package server

import (
	"cmp"
	"errors"
	"math"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	datas3 "holdfast/internal/data/s3"
	"holdfast/internal/edge"
	"holdfast/internal/oci"
)

// How many requests are served at once, where the configuration does not say. What an upload and a request cost was measured with thousands
// of slow clients: docs/limits.md.
const (
	turnTime      = 10 * time.Second // how long a request waits for its turn
	uploadBytes   = 512 << 10        // of storage.memoryBudget, for each upload: two of its chunks
	leastUploads  = 32
	requestBytes  = 128 << 10 // of Go's heap, for each other request
	leastRequests = 256
	mostRequests  = 8192
)

// places are how many uploads and how many other requests are served at once. budget is the memory of uploads, heap Go's soft limit, both in bytes.
func (r *edgeRules) places(budget, heap int64) (uploads, requests int) {
	uploads, requests = r.uploads, r.requests
	if uploads == 0 {
		uploads = int(max(leastUploads, budget/uploadBytes))
	}
	if requests == 0 {
		requests = int(min(mostRequests, max(leastRequests, heap/requestBytes)))
	}
	return uploads, requests
}

// isUpload reports whether a request brings bytes of a blob.
func isUpload(r *http.Request) bool {
	return r.ContentLength != 0 && r.Method != http.MethodGet && r.Method != http.MethodHead && strings.Contains(r.URL.Path, "/blobs/uploads/")
}

// turn waits until a request may be served. ok is false when it was refused, and answered: with 429 when its client has its share, else with 503.
func (s *Server) turn(w http.ResponseWriter, r *http.Request, rules *edgeRules, client netip.Addr) (leave func(), ok bool) {
	uploads, requests := rules.places(cmp.Or(s.cfg.MemoryBudget, datas3.DefaultBudget), goLimit())
	turns, most, what := &s.edge.requests, requests, "requests"
	if isUpload(r) {
		turns, most, what = &s.edge.uploads, uploads, "uploads"
	}
	leave, err := turns.Enter(r.Context(), client, most, turnTime)
	switch {
	case err == nil:
		return leave, true
	case errors.Is(err, edge.ErrShare):
		s.edge.overShare.Add(1)
		refuse(w, r, http.StatusTooManyRequests, oci.Errorf(oci.TooManyRequests, "one client has its share of the %d %s that are served at once", most, what))
	case errors.Is(err, edge.ErrBusy):
		s.edge.busy.Add(1)
		refuse(w, r, http.StatusServiceUnavailable, oci.Errorf(oci.Unavailable, "%d %s are served already: try again", most, what))
	default:
		refuse(w, r, http.StatusServiceUnavailable, oci.Errorf(oci.Unavailable, "the request ended while it waited"))
	}
	return nil, false
}

// goLimit is Go's soft limit of memory; very much where there is none.
func goLimit() int64 {
	limit := debug.SetMemoryLimit(-1)
	if limit <= 0 {
		return math.MaxInt64
	}
	return limit
}
