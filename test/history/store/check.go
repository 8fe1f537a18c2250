package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"holdfast/test/history/call"
)

// Report is what the bucket says.
type Report struct {
	Problems []string
	Objects  int
	Blobs    int   // distinct, with a live record
	Links    int   // live
	Logical  int64 // bytes, of all live links
	Physical int64 // bytes of the segments that live blob records name
	Waiting  int64 // bytes of segments of uploads that go on, or that ended otherwise
	Garbage  int64 // bytes of segments that no record names, and that requests of the history may have left
}

// String sums it up.
func (r *Report) String() string {
	return fmt.Sprintf("store: %d objects; %d distinct blobs of %d links: %d bytes for %d; %d bytes in sessions, %d for the collector; %d problems",
		r.Objects, r.Blobs, r.Links, r.Physical, r.Logical, r.Waiting, r.Garbage, len(r.Problems))
}

// check is a check under way.
type check struct {
	*Report
	c       *Contents
	history *history
	blobs   map[string]string // which blob record names a segment
	waiting map[string]string // which session does
	linked  map[string]bool   // digests of which there is a link in any state
	calm    bool
}

// Check compares the contents of a bucket with each other and with the history that made them. calm says that nothing went
// wrong while it was made: then less may be left over.
func Check(c *Contents, calls []call.Call, calm bool) *Report {
	k := &check{
		Report: &Report{Objects: len(c.Sizes)}, c: c, history: newHistory(calls), calm: calm,
		blobs: make(map[string]string), waiting: make(map[string]string), linked: make(map[string]bool),
	}
	for key := range c.Records {
		if strings.HasPrefix(key, "l/") {
			k.linked[path.Base(path.Dir(key))] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.Sizes)) {
		if !shapes.MatchString(key) {
			k.problem("%s: the format has no such key", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.Records)) {
		r := c.Records[key]
		if dead := r.State == "dead"; dead != (r.length == 512) || !dead && r.length < 1024 {
			k.problem("%s: %d bytes in the state %q: a list takes it for something else", key, r.length, r.State)
		}
		switch kind, _, _ := strings.Cut(key, "/"); kind {
		case "b":
			k.blob(key, r)
		case "u":
			k.session(key, r)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.Records)) {
		r := c.Records[key]
		if strings.HasPrefix(key, "l/") {
			k.link(key, r)
		}
		k.inRepository(key, r)
	}
	k.segments()
	k.finalReads()
	if c.Unending > 0 && calm {
		k.problem("%d multipart uploads were never ended", c.Unending)
	}
	return k.Report
}

func (k *check) problem(format string, args ...any) {
	k.Problems = append(k.Problems, fmt.Sprintf(format, args...))
}

// blob: a record is live, its segments are there, nobody else's, and their bytes are the digest's. Nothing that
// ends a record runs here.
func (k *check) blob(key string, r *record) {
	if !r.alive() || r.State == "condemned" {
		k.problem("%s: the state of a blob record is %q, and nothing condemns one", key, r.State)
		return
	}
	k.Blobs++
	if !k.linked[path.Base(key)] { // a link comes before the record and stays, dead or not
		k.problem("%s: no repository has, had or was to have this blob", key)
	}
	h := sha256.New()
	var sum int64
	for _, s := range r.Segments {
		if other, taken := k.blobs[s.ID]; taken {
			k.problem("%s and %s both name the segment %s", key, other, s.ID)
		}
		k.blobs[s.ID] = key
		if k.c.Lengths[s.ID] != s.Size {
			k.problem("%s: the segment %s has %d bytes, want %d", key, s.ID, k.c.Lengths[s.ID], s.Size)
		}
		sum += s.Size
	}
	k.Physical += sum
	if sum != r.Size {
		k.problem("%s: its segments have %d bytes, the blob %d", key, sum, r.Size)
	}
	want := strings.TrimPrefix(path.Base(key), "sha256-")
	if len(r.Segments) == 1 && k.c.Sums[r.Segments[0].ID] != want {
		k.problem("%s: its bytes have the digest %s", key, k.c.Sums[r.Segments[0].ID])
	}
	if len(r.Segments) > 1 {
		for _, s := range r.Segments {
			h.Write(k.c.bytes[s.ID])
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != want {
			k.problem("%s: its bytes have the digest %s", key, got)
		}
	}
}

// session: the segments of one that goes on are there, and no blob's; those of one that became a blob may be that blob's.
func (k *check) session(key string, r *record) {
	var sum int64
	for _, s := range r.Segments {
		sum += s.Size
		other, taken := k.waiting[s.ID]
		k.waiting[s.ID] = key
		by, named := k.blobs[s.ID]
		switch {
		case k.c.Lengths[s.ID] != s.Size:
			k.problem("%s: the segment %s has %d bytes, want %d", key, s.ID, k.c.Lengths[s.ID], s.Size)
		case taken:
			k.problem("%s and %s both name the segment %s", key, other, s.ID)
		case named && (r.State != "done" || by != blobKey(r.Digest)):
			k.problem("%s, which is %s, and %s both name the segment %s", key, r.State, by, s.ID)
		}
	}
	if sum != r.Offset {
		k.problem("%s: its segments have %d bytes, its offset is %d", key, sum, r.Offset)
	}
}

// link: what a repository has is a blob, and both say where the same bytes are.
func (k *check) link(key string, r *record) {
	if r.State == "condemned" && k.calm {
		k.problem("%s is condemned, and nobody is deleting it", key)
	}
	if !r.alive() {
		return
	}
	k.Links++
	k.Logical += r.Size
	rec := k.c.Records["b/"+strings.TrimPrefix(path.Dir(key), "l/")]
	if !rec.alive() {
		k.problem("%s: there is no blob record", key)
		return
	}
	if r.Size != rec.Size || !slices.Equal(r.Segments, rec.Segments) {
		k.problem("%s and its blob record name different bytes: %v and %v", key, r.Segments, rec.Segments)
	}
}

// segments: each is named by a blob, or by an upload, or is what a request of the history may have left for the collector: a
// whole blob that was sent though it was there already, or bytes whose request was not acknowledged.
func (k *check) segments() {
	left := make(map[string]int)
	for _, id := range slices.Sorted(maps.Keys(k.c.Sums)) {
		_, named := k.blobs[id]
		switch {
		case named:
		case k.waiting[id] != "":
			k.Waiting += k.c.Lengths[id]
		default:
			left[k.c.Sums[id]]++
			k.Garbage += k.c.Lengths[id]
			if n := k.history.mayLeave[k.c.Sums[id]]; left[k.c.Sums[id]] > n {
				k.problem("the segment %s of %d bytes is named by nothing, and only %d requests may have left such a one", id, k.c.Lengths[id], n)
			}
		}
	}
}
