package store

import (
	"math"
	"net/http"
	"slices"

	"holdfast/test/history/call"
)

// history is what is asked of a history.
type history struct {
	mayLeave map[string]int  // how many requests may have left a segment of these bytes (SHA-256) that nothing names
	doubtful map[string]bool // manifests (prefix and digest part) that may be there, or be gone, in part
	final    []*call.Call    // answered reads at the end
}

func newHistory(calls []call.Call) *history {
	h := &history{mayLeave: make(map[string]int), doubtful: make(map[string]bool)}
	removals := make(map[string][]*call.Call)
	for i := range calls {
		c := &calls[i]
		if !c.Sent() {
			continue
		}
		switch c.Op {
		case call.Commit, call.Push:
			if c.Sum != "" {
				h.mayLeave[c.Sum]++
			}
		case call.Append:
			if !c.OK() {
				h.mayLeave[c.Sum]++
			}
		case call.ManifestDelete, call.BlobDelete:
			removals[c.Repo] = append(removals[c.Repo], c)
			if c.Op == call.ManifestDelete && c.Failed() {
				h.doubtful[repoPrefix(c.Repo)+digestPart(c.Ref)] = true
			}
		}
		switch {
		case !c.Final || c.Failed():
		case c.Op == call.BlobGet, c.Op == call.ManifestGet, c.Op == call.ManifestHead:
			h.final = append(h.final, c)
		}
	}
	for i := range calls {
		if c := &calls[i]; c.Op == call.ManifestPut && c.Sent() && doubtful(c, removals[c.Repo]) {
			h.doubtful[repoPrefix(c.Repo)+digestPart(c.Digest)] = true
		}
	}
	return h
}

// doubtful reports whether a push may have had its effect in part: it was not acknowledged, or refused when something that it
// names went while it was under way, or it took its tag back because its manifest and a blob of it went.
func doubtful(put *call.Call, removals []*call.Call) bool {
	manifest, blob, other := false, false, false
	for _, d := range removals {
		if d.Call > end(put) || put.Call > end(d) {
			continue
		}
		other = true
		manifest = manifest || d.Op == call.ManifestDelete && d.Ref == put.Digest
		blob = blob || d.Op == call.BlobDelete && put.Manifest != nil && slices.Contains(put.Manifest.Blobs, d.Ref)
	}
	return put.Failed() || put.Status == http.StatusNotFound && other || manifest && blob
}

func end(c *call.Call) int64 {
	if c.Unknown() {
		return math.MaxInt64
	}
	return c.Ret
}
