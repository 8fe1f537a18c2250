package call

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What a call does.
const (
	Start          = "upload.start"  // POST
	Append         = "upload.append" // PATCH
	Status         = "upload.status" // GET
	Commit         = "upload.commit" // PUT, with or without a last chunk
	Cancel         = "upload.cancel" // DELETE
	Push           = "blob.push"     // POST with digest and all bytes
	Mount          = "blob.mount"
	BlobGet        = "blob.get" // whole, or a part when Len is not 0
	BlobHead       = "blob.head"
	BlobDelete     = "blob.delete"
	ManifestPut    = "manifest.put" // Ref: a tag, or the digest, then perhaps with Tags
	ManifestGet    = "manifest.get"
	ManifestHead   = "manifest.head"
	ManifestDelete = "manifest.delete" // Ref: the digest
	TagDelete      = "tag.delete"
	Tags           = "tags.list" // one page, as the next two
	Catalog        = "catalog"
	Referrers      = "referrers" // Ref: the subject
)

// Call is one request and its answer. Times are in nanoseconds since the history began.
type Call struct {
	Client int    `json:"client"`
	N      int    `json:"n"` // of the client's calls, from 1; a client makes one at a time
	Op     string `json:"op"`
	Repo   string `json:"repo,omitempty"`
	Ref    string `json:"ref,omitempty"` // tag or digest that the request names
	Target string `json:"target"`        // the balancer or a replica, by name
	Final  bool   `json:"final,omitempty"`

	Tags     []string  `json:"tags,omitempty"`     // that a push by digest sets
	Manifest *Manifest `json:"manifest,omitempty"` // of a push
	From     string    `json:"from,omitempty"`     // repository of a mount
	Session  string    `json:"session,omitempty"`  // our name of an upload
	Begin    int64     `json:"begin,omitempty"`    // first byte of a chunk or range
	Said     bool      `json:"said,omitempty"`     // a chunk has a Content-Range, which says Begin
	Len      int64     `json:"len,omitempty"`      // bytes of a chunk or range
	Size     int64     `json:"size,omitempty"`     // of the blob that an upload is to become
	Sum      string    `json:"sum,omitempty"`      // SHA-256 of the bytes sent
	Filter   string    `json:"filter,omitempty"`   // artifactType of a list of referrers
	After    string    `json:"after,omitempty"`    // of a page: the parameter last
	Limit    int       `json:"limit,omitempty"`    // of a page: the parameter n; 0: not given
	BadSum   bool      `json:"bad_sum,omitempty"`  // a commit with a digest that is not the bytes'

	Call     int64 `json:"call_ns"`
	Ret      int64 `json:"ret_ns"`
	Attempts int   `json:"attempts"` // connections that the transport took; 0: nothing was sent

	Status  int          `json:"status"` // 0: no answer
	Code    string       `json:"code,omitempty"`
	Cut     bool         `json:"cut,omitempty"`     // the answer broke off, and was seen to
	Digest  string       `json:"digest,omitempty"`  // of the manifest that was pushed or read
	Offset  int64        `json:"offset,omitempty"`  // of an upload, by the answer's Range; -1: it says nothing
	Missing []string     `json:"missing,omitempty"` // digests that a refusal names
	Names   []string     `json:"names,omitempty"`   // of a page
	Entries []Descriptor `json:"entries,omitempty"` // of a page of referrers
	More    bool         `json:"more,omitempty"`    // the page points to a next one
	Applied bool         `json:"applied,omitempty"` // the answer says that the filter was applied
	Wrong   string       `json:"wrong,omitempty"`   // what is wrong with the answer whatever else happened
	ID      string       `json:"id,omitempty"`      // X-Request-Id of the answer
	Err     string       `json:"err,omitempty"`
}

// Manifest is what a pushed manifest says.
type Manifest struct {
	MediaType    string            `json:"mediaType"`
	Size         int64             `json:"size"`
	Blobs        []string          `json:"blobs,omitempty"`
	Children     []string          `json:"children,omitempty"`
	Subject      string            `json:"subject,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"` // as a list of referrers has to show it
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// Descriptor is an entry of a list of referrers.
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// Write reports whether the operation changes what others see.
func (c *Call) Write() bool {
	switch c.Op {
	case Append, Commit, Cancel, Push, Mount, BlobDelete, ManifestPut, ManifestDelete, TagDelete:
		return true
	}
	return false
}

// Sent reports whether the request, or a part of it, left the client.
func (c *Call) Sent() bool { return c.Attempts > 0 }

// Failed reports whether nothing can be said from the answer: none, one that broke off, 429 or 5xx.
func (c *Call) Failed() bool {
	return c.Status == 0 || c.Cut || c.Status == http.StatusTooManyRequests || c.Status >= 500
}

// Unknown reports whether the call may have an effect that was not acknowledged, now or later.
func (c *Call) Unknown() bool { return c.Write() && c.Sent() && c.Failed() }

// OK reports whether the call was answered with success.
func (c *Call) OK() bool { return !c.Failed() && c.Status >= 200 && c.Status < 300 }

// Refused reports whether the call was answered with an error of the client's, or with "not there".
func (c *Call) Refused() bool { return !c.Failed() && c.Status >= 400 }

// ByDigest reports whether the request names a manifest by its digest.
func (c *Call) ByDigest() bool { return strings.Contains(c.Ref, ":") }

// TagsSet returns the tags that a push of a manifest sets.
func (c *Call) TagsSet() []string {
	if c.ByDigest() {
		return c.Tags
	}
	return []string{c.Ref}
}

// Outcome names how a call ended, for counts: its status, "cut", "none", or "unsent".
func (c *Call) Outcome() string {
	switch {
	case !c.Sent():
		return "unsent"
	case c.Cut:
		return "cut"
	case c.Status == 0:
		return "none"
	}
	return strconv.Itoa(c.Status)
}

// String says in one line what was asked and answered, and when.
func (c *Call) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%9s to %9s  client %d.%d  %-10s %s %s", clock(c.Call), clock(c.Ret), c.Client, c.N, c.Target, c.Op, c.Repo)
	for _, part := range []string{Short(c.Ref), c.Session} {
		if part != "" {
			fmt.Fprintf(&b, " %s", part)
		}
	}
	if len(c.Tags) > 0 {
		fmt.Fprintf(&b, " tags %s", strings.Join(c.Tags, ","))
	}
	if c.Op == Append || c.Op == Commit || c.Op == BlobGet && c.Len > 0 {
		fmt.Fprintf(&b, " [%d+%d]", c.Begin, c.Len)
	}
	if c.Op == Tags || c.Op == Catalog || c.Op == Referrers {
		fmt.Fprintf(&b, " n=%d last=%q", c.Limit, Short(c.After))
	}
	fmt.Fprintf(&b, ": %s", c.Outcome())
	for _, part := range []string{c.Code, Short(c.Digest), c.Wrong, c.Err} {
		if part != "" {
			fmt.Fprintf(&b, " %s", part)
		}
	}
	if c.Session != "" && !c.Failed() {
		fmt.Fprintf(&b, " offset %d", c.Offset)
	}
	if c.Op == Tags || c.Op == Catalog {
		fmt.Fprintf(&b, " %q more=%t", c.Names, c.More)
	}
	for _, e := range c.Entries {
		fmt.Fprintf(&b, " %s", Short(e.Digest))
	}
	if c.Final {
		b.WriteString(" (final)")
	}
	return b.String()
}

func clock(ns int64) string { return fmt.Sprintf("%.4fs", time.Duration(ns).Seconds()) }

// Short cuts a digest to what tells it apart.
func Short(ref string) string {
	if alg, hex, ok := strings.Cut(ref, ":"); ok && len(hex) > 10 {
		return alg + ":" + hex[:10]
	}
	return ref
}
